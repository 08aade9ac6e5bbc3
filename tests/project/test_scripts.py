"""The console scripts: they are there, and a user's own folders `training/` and `service/` do not get in their way."""

import importlib
import os
import subprocess
import sys
import tomllib
from operator import methodcaller

import pytest

from service.helper_process import HelperProcess
from tests.support.project import ROOT

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with packages of the user's own that are called as ours are, which is the current one."""
    for name in ("training", "service"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is the package of the user')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_starts_where_folders_of_the_user_have_the_names_of_our_packages(script, folder, tmp_path_factory):
    module, _, function = SCRIPTS[script].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    file = tmp_path_factory.mktemp("bin") / script  # as pip writes it
    file.write_text(f"from {module} import {function}\n{function}()\n")
    done = subprocess.run(
        [sys.executable, file, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert f"Usage: {script}" in done.stdout


def test_the_helper_process_is_ours_there_too(folder):
    helper = HelperProcess()
    try:
        assert helper.run(methodcaller("upper"), b"ours") == b"OURS"
    finally:
        helper.close()
