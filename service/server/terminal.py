"""The controlling terminal: SIGHUP asks a service to poll the store, or says that the terminal was closed."""

from __future__ import annotations

import os


class Terminal:
    """The controlling terminal at the time when this was made, if there was one."""

    def __init__(self) -> None:
        self._opened = _has_terminal()

    @property
    def closed(self) -> bool:
        """Whether there was a terminal that has been closed since."""
        return self._opened and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
