"""What an engine reports its batches to, cheaply enough to be told of every one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter

    from service.engine.batcher import Batch
    from service.observability.buffered_histogram import BufferedHistogram
    from training.predictor import Predictor


class BatchMetrics:
    """Counts the batches of one version, rows and seconds; `flush` is called on another thread than the engine's."""

    def __init__(
        self,
        predictor: Predictor,
        padding: Counter,
        rows: BufferedHistogram,
        seconds: BufferedHistogram,
        waits: BufferedHistogram,
    ) -> None:
        self._predictor, self._padding = predictor, padding
        self._rows, self._seconds, self._waits = rows, seconds, waits
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> None:
        """Counts a batch."""
        padding = self._predictor.padded(batch.rows) - batch.rows
        with self._lock:
            self._rows.add(batch.rows)
            self._seconds.add(batch.seconds)
            for seconds in batch.waited_s:
                self._waits.add(seconds)
        if padding:
            self._padding.inc(padding)

    def flush(self) -> None:
        """Shows what has been counted."""
        with self._lock:
            for tally in (self._rows, self._seconds, self._waits):
                tally.flush()
