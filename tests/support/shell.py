"""A bash that runs one command after another, as at a terminal: variables, background jobs and `$!` last."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Ran(NamedTuple):
    """The exit status of a command, its lines on stdout, and its text on stderr."""

    code: int
    lines: list[str]
    errors: str


class Shell:
    """A bash in a folder; what commands print goes through files in `scratch`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        self._out, self._err = scratch / "stdout", scratch / "stderr"
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, timeout_s: float) -> Ran:
        """Runs a command. Raises TimeoutError; then the shell is of no more use."""
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null >{self._out} 2>{self._err}; echo $?\n")
        self._bash.stdin.flush()
        if not select.select([self._bash.stdout], [], [], timeout_s)[0]:
            raise TimeoutError(f"{command} did not end within {timeout_s:g} s: {self._err.read_text()}")
        code = int(self._bash.stdout.readline())
        return Ran(code, self._out.read_text().splitlines(), self._err.read_text())

    def close(self) -> None:
        """Ends the shell and its background jobs."""
        os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.stdin.close()
        self._bash.wait(timeout=30)
        self._bash.stdout.close()
