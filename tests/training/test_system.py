"""The operating system: what is known not to work outside Linux is refused at the start, with what to do."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import training.system
from service.__main__ import app as service
from tests.support.project import ROOT
from training.__main__ import app
from training.system import UnsupportedSystem, check_system, without_packages

WINDOWS = (
    "digits does not run on Windows, which lacks the file locks of the store (fcntl) and Unix signals, want Linux: "
    "WSL 2, or the container image (README.md)"
)
WORKERS = (
    "several workers do not run on macOS, which lacks sockets of type SOCK_SEQPACKET, want one worker, or Linux: the "
    "container image (README.md)"
)


@pytest.mark.parametrize(
    ("system", "workers", "message"), [("win32", 1, WINDOWS), ("cygwin", 2, WINDOWS), ("darwin", 2, WORKERS)]
)
def test_what_does_not_work_is_refused(system, workers, message):
    with pytest.raises(UnsupportedSystem) as refused:
        check_system(workers=workers, system=system)
    assert str(refused.value) == message


@pytest.mark.parametrize(("system", "workers"), [("linux", 1), ("linux", 8), ("darwin", 1), ("freebsd14", 1)])
def test_what_may_work_is_not(system, workers):
    check_system(workers=workers, system=system)


@pytest.mark.parametrize(
    ("program", "options", "system", "message"),
    [
        (app, ["models"], "win32", WINDOWS),
        (service, [], "win32", WINDOWS),
        (service, ["--workers", "2"], "darwin", WORKERS),
    ],
)
def test_both_programs_say_so_in_a_line_before_anything_else(monkeypatch, tmp_path, program, options, system, message):
    monkeypatch.setattr(training.system.sys, "platform", system)
    result = CliRunner().invoke(program, options, env={"DIGITS_STORE": str(tmp_path)})
    assert (result.exit_code, result.output) == (1, f"error: {message}\n")


@pytest.mark.parametrize("program", ["training", "service"])
def test_an_interpreter_without_the_packages_is_told_what_to_type(program):
    """It was a traceback with `No module named 'typer'`."""
    command = [sys.executable, "-S", "-m", program, "--model", "my net"]  # -S: without site-packages
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {sys.executable} has no package typer; ")
    assert done.stderr.endswith(f"type {ROOT}/.venv/bin/python -m {program} --model 'my net'\n")


def test_without_a_virtual_environment_make_or_pip_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["training", "fit"])
    missing = ModuleNotFoundError(name="typer")
    assert without_packages(missing, "training", tmp_path / ".venv").endswith(
        f"; type {sys.executable} -m pip install 'digits[training]'"
    )
    (tmp_path / "Makefile").write_text("")
    assert without_packages(missing, "training", tmp_path / ".venv").endswith(
        f"; make serve sets up {tmp_path}/.venv; then type {tmp_path}/.venv/bin/python -m training fit"
    )
