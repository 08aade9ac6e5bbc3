"""Where and with what is measured: virtual environments for what digits is compared with, and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from tests.support.project import ROOT
from training.commands.console import stderr, stdout
from training.errors import DigitsError

FOLDER = ROOT / ".venv-bench"
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
QUIET = 0.05
"""The share of the processors that others may take before figures are called into question."""


def peers_python() -> Path:
    """The interpreter of the libraries that train. Raises DigitsError as `python_with` does."""
    return python_with("training", REQUIREMENTS)


def python_with(name: str, requirements: Path, *, with_ours: bool = False) -> Path:
    """The interpreter of .venv-bench/<name>, which is set up when it is missing or not as `requirements` says.

    `with_ours`: it also has the packages of this environment, and only what these lack is installed. Raises DigitsError
    when pip fails.
    """
    folder, wanted = FOLDER / name, requirements.read_text()
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    stderr.print(f"setting up {FOLDER.name}/{name} (once, one to three minutes)")
    _run(folder, sys.executable, "-m", "venv", "--clear", str(folder))
    (FOLDER / ".gitignore").write_text("*\n")
    if with_ours:
        packages, ours = (sysconfig.get_path("purelib", vars={"base": base}) for base in (str(folder), sys.prefix))
        (Path(packages) / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    pip = (str(python), "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check")
    _run(folder, *pip, "--requirement", str(requirements))
    stamp.write_text(wanted)
    return python


def machine() -> dict[str, object]:
    """What figures depend on."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def processor_seconds_of_others() -> float:
    """How long processors have worked since the start for others than this process and those that it has waited for.

    0.0 where the system does not say.
    """
    try:
        user, nice, system, _idle, _wait, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


class Others:
    """What other processes than this one and those that it has waited for take of the processors, from now on."""

    def __init__(self) -> None:
        self._began, self._seconds = time.perf_counter(), processor_seconds_of_others()

    @property
    def share(self) -> float:
        """Of all processors; 0.0 where the system does not say."""
        seconds = processor_seconds_of_others() - self._seconds
        return seconds / (time.perf_counter() - self._began) / (os.cpu_count() or 1)


def warn_of_others(share: float) -> None:
    """Says on stdout that others took too much for figures to mean something, if they did."""
    if share > QUIET:
        stdout.print(
            f"other processes took {share:.0%} of the processors meanwhile: these figures say little",
            style="yellow",
            soft_wrap=True,
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise DigitsError(f"{folder.relative_to(ROOT)} cannot be set up: {said[-500:]}")
