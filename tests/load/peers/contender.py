"""A contender: a process that trains when it is told to and only then, so that no two of them ever train at once.

Its first argument is a file of pictures. It says on stdout what it is; then, for each line with the name of a network,
it trains that network for an epoch over all the pictures and says how many seconds that took. A line out is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Epoch = Callable[[], object]
    """Trains a network for an epoch over all the pictures."""

BATCH = 128
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
DROPOUT = 0.3


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images uint8 [n, 28, 28] and labels uint8 [n]; n is a multiple of BATCH."""
    with np.load(sys.argv[1]) as file:
        return file["images"], file["labels"]


def ink() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images float32 [n, 28, 28] in 0…1 and labels int64 [n]: as tutorials have them before the first epoch."""
    images, labels = pictures()
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def compete(library: str, networks: Iterable[str], epoch_of: Callable[[str], Epoch]) -> None:
    """Answers on stdin until it is closed; `epoch_of` makes a network ready for its epochs."""
    epoch_of = lru_cache(None)(epoch_of)
    _say(library=library, networks=list(networks))
    for line in sys.stdin:
        epoch = epoch_of(line.strip())
        began = time.perf_counter()
        epoch()
        _say(seconds=time.perf_counter() - began)


def _say(**answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()
