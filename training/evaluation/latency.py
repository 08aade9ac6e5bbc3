"""How long one picture takes two networks, measured side by side."""

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
    """The 99th percentile of seconds that each of two networks takes for one picture uint8 [1, 28, 28].

    They take turns, so that what else the machine does slows both; and of many short rounds each one's best counts,
    because noise only ever adds time, while a network that is slower is so in its best round, too.
    """
    rounds = [[(_seconds(first, image), _seconds(second, image)) for _ in range(CALLS)] for _ in range(ROUNDS)]
    best = np.quantile(np.array(rounds), 0.99, axis=1).min(axis=0)  # [rounds, calls, 2] -> [2]
    return float(best[0]), float(best[1])


def _seconds(network: Network, image: Images) -> float:
    began = time.perf_counter()
    network(image)
    return time.perf_counter() - began
