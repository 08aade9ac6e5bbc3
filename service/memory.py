"""Resident memory of this process, and garbage collection by its growth."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Final

STATM: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
GROWTH_BYTES: Final = 2**26


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 where there is no /proc."""
    try:
        return int(STATM.read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


class GarbageCollection:
    """Rare collections: the models live as long as the process, and a collection that visits them delays requests.

    Python counts objects, not bytes: a few cycles with large arrays would stay in memory for long. So there is one
    more collection whenever resident memory has grown by GROWTH_BYTES since the last one.
    """

    def __init__(self) -> None:
        self._resident_bytes = 0

    def start(self) -> None:
        """Excludes all that exists now, and makes collections rare. p99 becomes a third of it (measured)."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        self._resident_bytes = resident_bytes()

    def check(self) -> None:
        """Collects if memory has grown. To be called now and then."""
        now = resident_bytes()
        if now > self._resident_bytes + GROWTH_BYTES:
            gc.collect(1)  # not the oldest objects: what a request leaves behind is young
            self._resident_bytes = resident_bytes()
        else:
            self._resident_bytes = min(self._resident_bytes, now)
