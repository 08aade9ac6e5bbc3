"""Follows what a version answers, and tells how far it has drifted from what the version was calibrated on."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from training.drift import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from training.drift import Reference

    Tell = Callable[[Mapping[str, tuple[float, bool]]], None]


class Drift:
    """The last rows of a version. Any thread may call it.

    Rows are only kept until somebody wants to know: counting them takes longer than a picture alone does.
    """

    def __init__(self, reference: Reference, window_rows: int, tell: Tell) -> None:
        self._window, self._window_rows, self._tell = Window(reference, window_rows), window_rows, tell
        self._new: deque[NDArray[np.float32]] = deque()
        self._new_rows = 0
        self._lock = threading.Lock()

    def follow(self, columns: NDArray[np.float32]) -> None:
        """Takes in what was computed, columns [n, 16]."""
        with self._lock:
            self._new.append(columns)
            self._new_rows += len(columns)
            while self._new_rows - len(self._new[0]) >= self._window_rows:  # what the window would forget
                self._new_rows -= len(self._new.popleft())

    def flush(self) -> None:
        """Tells the index of each kind and whether it is drift, if anything is new."""
        with self._lock:
            if self._new:
                self._window.add(np.concatenate(self._new))
                self._new.clear()
                self._new_rows = 0
                self._tell(self._window.drift())
