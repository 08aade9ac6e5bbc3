"""Ctrl-C and SIGTERM while training: handled between two steps, where nothing is half done."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h"


class Stopped(Exception):
    """SIGINT or SIGTERM has come."""

    def __init__(self, number: int) -> None:
        self.exit_code = _exit_code(number)
        super().__init__(f"stopped by {signal.Signals(number).name}")


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Yields a function to call between steps; it raises Stopped when a signal has come.

    A signal before the first call, when there is nothing to finish, and a second signal end the process at once. The
    signal handler itself raises no exception: it could be raised inside a callback of JAX, or of Orbax while it saves.
    """
    came: list[int] = []
    working = False

    def obey(number: int, _: object) -> None:
        if came or not working:
            if sys.stdout.isatty():
                os.write(1, SHOW_CURSOR)  # the progress bar has hidden it
            os._exit(_exit_code(number))
        came.append(number)
        os.write(2, b"\nstopping after this step\n")

    def check() -> None:
        nonlocal working
        working = True
        if came:
            raise Stopped(came[0])

    before = {number: signal.signal(number, obey) for number in SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(number: int) -> int:
    return 128 + number  # what a shell reports for a program that a signal ended
