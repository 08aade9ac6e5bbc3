"""Facts that several files of the project state are the same in each."""

import ast
import re
import tomllib
from itertools import chain

import pytest

from tests.support.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_images_are_tagged_with_the_version_of_the_project():
    for path in ("Dockerfile", "k8s/base/deployment.yaml"):
        tags = re.findall(r"digits(?:-training)?:([\w.]+)", (ROOT / path).read_text())
        assert tags, path
        assert set(tags) == {PROJECT["version"]}, path


def locked(text: str) -> set[str]:
    """The packages of a lock with their versions, and for which Python each is."""
    return {line.removesuffix(" \\") for line in text.splitlines() if re.match(r"[\w.-]+(?:\[[\w,-]+\])?==", line)}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.lock", ("service", "training", "object-storage")),
        ("requirements-cuda.lock", ("cuda",)),
        ("requirements-tpu.lock", ("tpu",)),
    ],
)
def test_a_lock_has_hashes_and_every_dependency_and_names_no_registry(file, extras):
    lock = (ROOT / file).read_text()
    names = {re.match(r"[\w.-]+", line)[0] for line in locked(lock)}
    wanted = [PROJECT["optional-dependencies"][extra] for extra in extras]
    for requirement in [*PROJECT["dependencies"], *chain(*wanted)]:
        assert re.match(r"[\w.-]+", requirement)[0] in names
    assert lock.count("==") <= lock.count("--hash=sha256:")
    assert "://" not in lock
    assert "index-url" not in lock


def test_what_is_carried_to_an_accelerator_is_in_the_lock():
    lock = {re.match(r"[\w.-]+", line)[0] for line in locked((ROOT / "requirements.lock").read_text())}
    carried = (ROOT / "tests/accelerator/wheels.txt").read_text().splitlines()
    assert {name for name in carried if not name.startswith("#")} <= lock


@pytest.mark.parametrize("accelerator", ["cuda", "tpu"])
def test_the_lock_of_an_accelerator_has_the_versions_of_the_other_lock(accelerator):
    base, other = (
        {line.partition(" ;")[0] for line in locked((ROOT / file).read_text())}
        for file in ("requirements.lock", f"requirements-{accelerator}.lock")
    )
    names = {line.partition("==")[0] for line in base}
    assert len(other & base) > 20
    assert {line for line in other - base if line.partition("==")[0] in names} == set()


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
