"""Ctrl-C and SIGTERM while training: obeyed between two steps, where nothing is half done."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The user, or the system, asked the process to stop."""

    def __init__(self, by: int) -> None:
        self.exit_code = 128 + by  # what a shell reports for a program that a signal ended
        super().__init__(f"stopped by {signal.Signals(by).name}")


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Gives a function to call between steps; it raises Stopped when a signal has come. A second signal acts at once.

    An exception raised by the signal itself could end in a callback of JAX, or tear Orbax in the middle of a save.
    """
    came: list[int] = []

    def remember(number: int, _: object) -> None:
        came.append(number)
        os.write(2, b"\nstopping after this step\n")
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def check() -> None:
        if came:
            raise Stopped(came[0])

    before = {number: signal.signal(number, remember) for number in SIGNALS}
    try:
        yield check
    finally:
        restore()
