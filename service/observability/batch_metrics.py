"""Batch metrics of one version: rows, padding, computing and waiting times, buffered for speed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Counter

    from service.engine.batcher import Batch
    from service.observability.buffered_histogram import BufferedHistogram


class BatchMetrics:
    """The engine's observer: counts each batch on the thread that computed it. Thread-safe.

    `padded` rounds a number of rows up to a compiled size.
    """

    def __init__(
        self,
        padded: Callable[[int], int],
        padding: Counter,
        rows: BufferedHistogram,
        seconds: BufferedHistogram,
        waits: BufferedHistogram,
    ) -> None:
        self._padded, self._padding = padded, padding
        self._rows, self._seconds, self._waits = rows, seconds, waits
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> None:
        """Counts a batch."""
        padding = self._padded(batch.rows) - batch.rows
        with self._lock:
            self._rows.add(batch.rows)
            self._seconds.add(batch.seconds)
            for seconds in batch.waited_s:
                self._waits.add(seconds)
        if padding:
            self._padding.inc(padding)

    def flush(self) -> None:
        """Adds the buffered counts to the histograms of prometheus_client."""
        with self._lock:
            for histogram in (self._rows, self._seconds, self._waits):
                histogram.flush()
