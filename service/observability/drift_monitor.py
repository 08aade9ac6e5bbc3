"""Drift of a version: its last answers against the reference histograms on its card."""

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

    Show = Callable[[Mapping[str, tuple[float, bool]]], None]

ROW_BYTES: Final = 4 * COLUMNS


class DriftMonitor:
    """Drift over the last `window_rows` answers; `show` gets (drift index, alarm) by kind. Thread-safe.

    `add` only buffers rows, and `flush` counts them: counting takes longer than the prediction of a single picture.
    """

    def __init__(self, reference: Reference, window_rows: int, show: Show) -> None:
        self._window, self._show = Window(reference, window_rows), show
        self._new: deque[bytes] = deque()  # bytes, since arrays would keep JAX's memory from being reused
        self._new_bytes, self._window_bytes = 0, ROW_BYTES * window_rows
        self._lock = threading.Lock()

    def add(self, columns: NDArray[np.float32]) -> None:
        """Buffers computed columns float32 [n, 16]."""
        new = columns.tobytes()
        with self._lock:
            self._new.append(new)
            self._new_bytes += len(new)
            while self._new_bytes >= self._window_bytes + len(self._new[0]):  # rows beyond the window
                self._new_bytes -= len(self._new.popleft())

    def flush(self) -> None:
        """Counts the buffered rows, if any, and calls `show`."""
        with self._lock:
            if self._new:
                self._window.add(np.frombuffer(b"".join(self._new), np.float32).reshape(-1, COLUMNS))
                self._new.clear()
                self._new_bytes = 0
                self._show(self._window.drift())
