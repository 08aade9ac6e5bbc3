"""The operating system: Linux; what does not work elsewhere is refused at the start."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from training.errors import DigitsError

LINUX: Final = "linux"
NAMES: Final = {"win32": "Windows", "cygwin": "Windows", "darwin": "macOS"}
ENVIRONMENT: Final = Path(__file__).parent.parent / ".venv"
"""The virtual environment that `make` sets up in a checkout."""
CONTAINER: Final = "the container image (README.md)"


class UnsupportedSystem(DigitsError):
    """The operating system lacks what this program needs."""


def check_system(*, workers: int = 1, system: str | None = None) -> None:
    """Raises UnsupportedSystem for Windows, and outside Linux for several workers; `system` is by default this one."""
    system = system or sys.platform
    name = NAMES.get(system, system)
    if name == "Windows":
        raise UnsupportedSystem(
            "digits does not run on Windows, which lacks the file locks of the store (fcntl) and Unix signals, want "
            f"Linux: WSL 2, or {CONTAINER}"
        )
    if system != LINUX and workers > 1:
        raise UnsupportedSystem(
            f"several workers do not run on {name}, which lacks sockets of type SOCK_SEQPACKET, want one worker, or "
            f"Linux: {CONTAINER}"
        )


def without_packages(missing: ModuleNotFoundError, program: str, environment: Path = ENVIRONMENT) -> str:
    """What to type where a package is missing: `program` is `training` or `service`, whose packages are an extra."""
    python = environment / "bin" / "python"
    command = shlex.join(["-m", program, *sys.argv[1:]])
    if python.exists():
        advice = f"type {python} {command}"
    elif (environment.parent / "Makefile").exists():
        advice = f"make serve sets up {environment}; then type {python} {command}"
    else:
        advice = f"type {sys.executable} -m pip install 'digits[{program}]'"
    return f"error: {sys.executable} has no package {missing.name}; {advice}"
