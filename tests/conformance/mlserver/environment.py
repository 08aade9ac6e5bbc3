"""`python -m tests.conformance.mlserver.environment`: MLServer and Triton's client in an environment of their own.

Both want libraries in other versions than JAX does.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

from tests.load.environment import FOLDER, python_with
from training.commands.console import friendly_errors

HERE = Path(__file__).parent


def protocols_python() -> Path:
    """The interpreter of both. Raises DigitsError when they cannot be installed."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "protocols.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that want it may run side by side
        return python_with("protocols", HERE / "requirements.txt")


if __name__ == "__main__":
    with friendly_errors():
        protocols_python()
