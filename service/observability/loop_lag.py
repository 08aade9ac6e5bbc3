"""The lag of the event loop: how much later than due it does what is due, which every request waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client import Gauge, Histogram

from service.observability.buffered_histogram import BufferedHistogram

if TYPE_CHECKING:
    import asyncio

    from prometheus_client import CollectorRegistry

INTERVAL_S: Final = 0.02
BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class LoopLag:
    """Measures the lag of an event loop fifty times a second. Not thread-safe: one event loop only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        histogram = Histogram(
            "digits_event_loop_lag_seconds",
            "How much later than due the event loop has run a timer",
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._longest = Gauge(
            "digits_event_loop_longest_lag_seconds",
            "The longest lag of the event loop since the process has started",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._lags = BufferedHistogram(histogram, BUCKETS_S)
        self._longest_s = self._due_s = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to measure, for as long as the loop runs."""
        self._due_s = time.monotonic() + INTERVAL_S
        loop.call_later(INTERVAL_S, self._measure, loop)

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        lag_s = max(time.monotonic() - self._due_s, 0.0)
        self._lags.add(lag_s)
        self._longest_s = max(self._longest_s, lag_s)
        self.start(loop)

    def flush(self) -> None:
        """Adds the buffered counts to the metrics of prometheus_client."""
        self._lags.flush()
        self._longest.set(self._longest_s)
