"""Follows what a version answers, and tells how far it has drifted from what the version was calibrated on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from training.drift import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from training.drift import Reference

    Tell = Callable[[Mapping[str, tuple[float, bool]]], None]

ROWS_AT_A_TIME: Final = 50
"""Rows are taken in so many at a time: for each alone that would take as long as the answer does."""


class Drift:
    """The last rows of a version. `tell` gets the index of each kind and whether it is drift, every 50 rows.

    Threads that compute may call it at the same time.
    """

    def __init__(self, reference: Reference, window_rows: int, tell: Tell) -> None:
        self._window, self._tell = Window(reference, window_rows), tell
        self._waiting: list[NDArray[np.float32]] = []
        self._rows = 0
        self._lock = threading.Lock()

    def follow(self, columns: NDArray[np.float32]) -> None:
        """Takes in what was computed, columns [n, 13]."""
        with self._lock:
            self._waiting.append(columns)
            self._rows += len(columns)
            if self._rows >= ROWS_AT_A_TIME:
                self._window.add(np.concatenate(self._waiting))
                self._waiting, self._rows = [], 0
                self._tell(self._window.drift())
