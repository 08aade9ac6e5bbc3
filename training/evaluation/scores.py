"""Scores: error rate with its confidence interval, log-loss, confusion matrix."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Protocol

import numpy as np

from training.images import CLASSES
from training.store.card import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from training.data.digits import Digits
    from training.images import Images

ROWS_PER_CALL = 1000
Z = 1.959963984540054
"""95 % of a normal distribution are within so many standard deviations of the mean."""


class Computing(Protocol):
    """A compiled network, or a predictor."""

    def columns(self, images: Images, /) -> NDArray[np.float32]:
        """The columns of `training.answers`, float32 [n, 16]."""


def columns(network: Computing, digits: Digits, watch: Callable[[int], object] = lambda _: None) -> NDArray[np.float32]:
    """The columns [n, 16] of every picture; `watch` as in `predict`."""
    return predict(network.columns, digits, watch)


def predict(
    predictor: Callable[[Images], NDArray[np.float32]], digits: Digits, watch: Callable[[int], object] = lambda _: None
) -> NDArray[np.float32]:
    """Probabilities [n, 10] of every picture; `watch` is called after each batch with its number of rows."""
    parts = []
    for first in range(0, len(digits), ROWS_PER_CALL):
        parts.append(predictor(digits.images[first : first + ROWS_PER_CALL]))
        watch(len(parts[-1]))
    return np.concatenate(parts)


def score(probabilities: ArrayLike, labels: ArrayLike) -> Metrics:
    """Metrics of probabilities [n, 10] against labels [n]."""
    given, right = np.asarray(probabilities), np.asarray(labels)
    errors = int(np.count_nonzero(given.argmax(axis=1) != right))
    of_right = np.maximum(given[np.arange(len(right)), right], np.finfo(np.float32).tiny)
    return Metrics(
        images=len(right),
        errors=errors,
        error=errors / len(right),
        interval=wilson(errors, len(right)),
        log_loss=float(-np.log(of_right).mean()),
    )


def wilson(times: float, of: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share seen `times` of `of` (Wilson 1927); `times` may be a mean of counts."""
    share = times / of
    middle, half = share + Z**2 / (2 * of), Z * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    low, high = (end / (1 + Z**2 / of) for end in (middle - half, middle + half))
    return (low if times > 0 else 0.0), (high if times < of else 1.0)  # rounding would leave 1e-20 there


def confusion(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """The confusion matrix int64 [10, 10]: how often digit i was read as j."""
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(probabilities).argmax(axis=1)), 1)
    return counts
