"""The latency of two networks for one picture, measured side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from training.images import Images

    Network = Callable[[Images], Any]

ROUNDS, CALLS = 40, 100


def p99_s(first: Network, second: Network, image: Images) -> tuple[float, float]:
    """The 99th percentiles of the seconds that two networks take for one picture uint8 [1, 28, 28].

    The networks take turns, so that other load on the machine slows both. Of many short rounds, the best one of each
    network counts, because noise only adds time, and a slower network is slower in its best round, too.
    """
    rounds = [[(_seconds(first, image), _seconds(second, image)) for _ in range(CALLS)] for _ in range(ROUNDS)]
    best = np.quantile(np.array(rounds), 0.99, axis=1).min(axis=0)  # [rounds, calls, 2] -> [2]
    return float(best[0]), float(best[1])


def _seconds(network: Network, image: Images) -> float:
    began = time.perf_counter()
    network(image)
    return time.perf_counter() - began
