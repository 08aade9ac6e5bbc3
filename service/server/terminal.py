"""The terminal that a program was started from, if any: SIGHUP asks a service for news, or says that it is closed."""

from __future__ import annotations

import os


class Terminal:
    """The terminal as it is now, to be asked later whether it is still there."""

    def __init__(self) -> None:
        self._there = _is_there()

    @property
    def gone(self) -> bool:
        """Whether there was one, and it has been closed since."""
        return self._there and not _is_there()


def _is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
