"""A histogram buffered in Python and flushed to prometheus_client.

prometheus_client takes two locks for each number, and with several workers two writes to a file: some microseconds of
the fifty that a request takes. A buffered number costs a tenth of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from prometheus_client import Histogram

from service.private_api import require_members

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMETHEUS_CLIENT: Final = ">=0.26,<0.27"
"""The versions that are known to have the members below, which are not public; the same as in pyproject.toml."""
require_members("prometheus-client", PROMETHEUS_CLIENT, Histogram, "_sum", "_buckets")


class BufferedHistogram:
    """Buffers numbers for `histogram`, whose buckets end at `bounds`. Not thread-safe: one thread at a time.

    `add` counts a number. It is a method of the buffer itself, which saves a call; whoever adds has to flush every
    second or so, as `Metrics.refresh` does.
    """

    __slots__ = ("_bounds", "_histogram", "_numbers", "add")

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram, self._bounds = histogram, np.asarray(bounds)
        self._numbers: list[float] = []
        self.add = self._numbers.append

    def flush(self) -> None:
        """Adds the buffered numbers to the histogram."""
        if not self._numbers:
            return
        numbers = np.asarray(self._numbers)
        self._numbers.clear()
        self._histogram._sum.inc(float(numbers.sum()))
        counts = np.bincount(np.searchsorted(self._bounds, numbers), minlength=len(self._bounds) + 1)
        for bucket, count in zip(self._histogram._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)
