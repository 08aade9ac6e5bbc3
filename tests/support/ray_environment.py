"""`python -m tests.support.ray_environment`: Ray in an environment of its own, on top of this one.

It takes 360 MB and half a minute to install, and nothing but `training predict --engine ray` wants it.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

from tests.load.environment import FOLDER, python_with
from training.commands.console import friendly_errors


def ray_python() -> Path:
    """The interpreter that has Ray and the packages of this one. Raises DigitsError when Ray cannot be installed."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that want it may run side by side
        return python_with("ray", Path(__file__).with_name("ray-requirements.txt"), with_ours=True)


if __name__ == "__main__":
    with friendly_errors():
        ray_python()
