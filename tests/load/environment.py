"""Where and with what is measured: the virtual environment of the libraries to compare with, and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from training.commands.console import stderr
from training.errors import DigitsError

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".venv-bench"
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"


def peers_python() -> Path:
    """The interpreter of .venv-bench, which is set up when it is missing or not as requirements.txt says.

    Raises DigitsError when pip fails.
    """
    python, stamp, wanted = FOLDER / "bin" / "python", FOLDER / "installed.txt", REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    stderr.print(f"setting up {FOLDER.name} (once, one to three minutes)")
    _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
    (FOLDER / ".gitignore").write_text("*\n")
    pip = (str(python), "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--requirement", str(REQUIREMENTS))
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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DigitsError(f"{FOLDER.name} cannot be set up: {(done.stderr or done.stdout).strip()[-500:]}")
