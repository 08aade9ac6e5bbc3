"""Follows what a version answers, and tells how far it has drifted from what the version was calibrated on."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from training.answers import COLUMNS
from training.drift import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from training.drift import Reference

    Tell = Callable[[Mapping[str, tuple[float, bool]]], None]

ROW_BYTES: Final = 4 * COLUMNS


class DriftMonitor:
    """The last rows of a version. Any thread may call it.

    Rows are only kept until somebody wants to know: counting them takes longer than a picture alone does.
    """

    def __init__(self, reference: Reference, window_rows: int, tell: Tell) -> None:
        self._window, self._tell = Window(reference, window_rows), tell
        self._new: deque[bytes] = deque()  # of columns: arrays would keep JAX's own memory, and other batches take more
        self._new_bytes, self._window_bytes = 0, ROW_BYTES * window_rows
        self._lock = threading.Lock()

    def follow(self, columns: NDArray[np.float32]) -> None:
        """Takes in what was computed, columns float32 [n, 16]."""
        new = columns.tobytes()
        with self._lock:
            self._new.append(new)
            self._new_bytes += len(new)
            while self._new_bytes - len(self._new[0]) >= self._window_bytes:  # what the window would forget
                self._new_bytes -= len(self._new.popleft())

    def flush(self) -> None:
        """Tells the index of each kind and whether it is drift, if anything is new."""
        with self._lock:
            if self._new:
                self._window.add(np.frombuffer(b"".join(self._new), np.float32).reshape(-1, COLUMNS))
                self._new.clear()
                self._new_bytes = 0
                self._tell(self._window.drift())
