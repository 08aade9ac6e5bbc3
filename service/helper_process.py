"""A process for work that would hold Python's interpreter lock for long, and with it the event loop.

It runs at a low priority, and ends with the process that started it, when its input ends. It is started with the first
work, and anew when work has left much memory behind, which so goes back to the system.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from service.memory import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

PACKAGES: Final = Path(__file__).parent.parent
NICENESS: Final = 5
TIMEOUT_S: Final = 20.0
"""A helper that takes longer for a piece of work is killed."""
LARGE_MEMORY_BYTES: Final = 2**27
"""A helper that keeps this much memory ends after its work."""


class HelperDied(Exception):
    """The helper process has ended before its work: killed, too slow, or for lack of memory or file descriptors."""


class HelperProcess:
    """Runs functions in a process of its own, one at a time. Thread-safe."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, function: Callable[[bytes], Result], body: bytes) -> Result:
        """`function(body)`, computed by the helper. The function, its result and its errors are pickled.

        Raises the errors of the function, and HelperDied.
        """
        with self._lock:
            timer = None
            try:
                process = self._started()
                timer = threading.Timer(self._timeout_s, process.kill)  # it may stand still
                timer.start()
                pickle.dump((function, body), process.stdin, pickle.HIGHEST_PROTOCOL)  # type: ignore[arg-type]
                process.stdin.flush()  # type: ignore[union-attr]
                result, error = pickle.load(process.stdout)  # type: ignore[arg-type] # noqa: S301 - of our own process
            except (EOFError, OSError, pickle.UnpicklingError):
                self._end()
                raise HelperDied from None
            finally:
                if timer:
                    timer.cancel()
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Ends the helper; work in progress raises HelperDied."""
        if self._process is not None:
            self._process.kill()
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this file
                [sys.executable, "-m", __name__],
                cwd=PACKAGES,  # -m looks there first, and the user's folder may have a service/ of its own
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the service, whose requests are still answered
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(OSError), self._process as process:  # what is not sent yet cannot be flushed
                process.kill()
            self._process = None


def _serve() -> None:
    """What the helper runs: it computes what comes on stdin until that ends."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with contextlib.suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):  # the other process has ended
        _compute()


def _compute() -> None:
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints does not mix with results
    while resident_bytes() < LARGE_MEMORY_BYTES:
        function, body = pickle.load(source)  # noqa: S301 - of the process that has started this one
        outcome: tuple[Any, Exception | None]
        try:
            outcome = function(body), None
        except Exception as error:
            outcome = None, error.with_traceback(None)
        del function, body
        pickle.dump(outcome, sink, pickle.HIGHEST_PROTOCOL)
        sink.flush()


if __name__ == "__main__":
    _serve()
