"""Facts that several files of the project state are the same in each."""

import ast
import re
import tomllib

from tests.support.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_images_are_tagged_with_the_version_of_the_project():
    for path in ("Dockerfile", "k8s/base/deployment.yaml"):
        tags = re.findall(r"digits(?:-training)?:([\w.]+)", (ROOT / path).read_text())
        assert tags, path
        assert set(tags) == {PROJECT["version"]}, path


def test_the_lock_has_hashes_and_every_dependency_and_names_no_registry():
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", lock, re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["service"], *extras["training"], *extras["object-storage"]]:
        assert re.match(r"[\w.-]+", requirement)[0] in locked
    assert lock.count("==") <= lock.count("--hash=sha256:")
    assert "://" not in lock
    assert "index-url" not in lock


def test_only_evaluate_leaderboard_and_report_read_the_test_images_and_data_shows_them():
    """Every choice is made on the validation split."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("training", "service")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"mnist\.test\(|from training\.mnist import .*\btest\b", path.read_text())
    }
    assert readers == {f"training/commands/{name}.py" for name in ("evaluate", "leaderboard", "report", "data")}


def test_every_test_file_says_in_its_first_line_what_it_is_about():
    for path in (ROOT / "tests").rglob("test_*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring, f"{path} has no docstring, want one sentence about what it tests"
        assert docstring.splitlines()[0].endswith((".", "`")), path
