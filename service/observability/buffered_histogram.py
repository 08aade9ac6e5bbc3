"""A histogram buffered in Python and flushed to prometheus_client.

prometheus_client takes two locks for each number, and with several workers two writes to a file: some microseconds of
the fifty that a request takes. A buffered number costs a tenth of that.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from prometheus_client import Histogram

from service.private_api import require_members

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMETHEUS_CLIENT: Final = ">=0.26,<0.27"
"""The versions that are known to have the members below, which are not public; the same as in pyproject.toml."""
require_members("prometheus-client", PROMETHEUS_CLIENT, Histogram, "_sum", "_buckets")


class BufferedHistogram:
    """Buffers numbers for `histogram`, whose buckets end at `bounds`. Not thread-safe: one thread at a time."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram, self._bounds = histogram, bounds
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def add(self, number: float) -> None:
        """Counts a number."""
        self._counts[bisect_left(self._bounds, number)] += 1
        self._sum += number

    def flush(self) -> None:
        """Adds the buffered numbers to the histogram."""
        if any(self._counts):
            self._histogram._sum.inc(self._sum)
            for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
                if count:
                    bucket.inc(count)
            self._counts, self._sum = [0] * len(self._counts), 0.0
