"""`python -m tests.conformance.mlserver.environment`: MLServer and Triton's client in an environment of their own.

Both want libraries in other versions than JAX does.
"""

from __future__ import annotations

from pathlib import Path

from tests.load.environment import python_with
from training.commands.console import friendly_errors

HERE = Path(__file__).parent


def protocols_python() -> Path:
    """The interpreter of both. Raises DigitsError when they cannot be installed."""
    return python_with("protocols", HERE / "requirements.txt")


if __name__ == "__main__":
    with friendly_errors():
        protocols_python()
