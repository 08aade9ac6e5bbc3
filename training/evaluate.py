"""How good a version is: errors with their interval, and where it errs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from training.card import Metrics
from training.images import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from training.data.digits import Digits
    from training.images import Images

ROWS_PER_CALL = 1000


def predict(
    predictor: Callable[[Images], NDArray[np.float32]], digits: Digits, watch: Callable[[int], object] = lambda _: None
) -> NDArray[np.float32]:
    """Probabilities [n, 10] of every picture; `watch` is told after each call how many more are done."""
    parts = []
    for first in range(0, len(digits), ROWS_PER_CALL):
        parts.append(predictor(digits.images[first : first + ROWS_PER_CALL]))
        watch(len(parts[-1]))
    return np.concatenate(parts)


def score(probabilities: ArrayLike, labels: ArrayLike) -> Metrics:
    """Metrics of probabilities [n, 10] against the right digits [n]."""
    given, right = np.asarray(probabilities), np.asarray(labels)
    errors = int(np.count_nonzero(given.argmax(axis=1) != right))
    interval = binomtest(errors, len(right)).proportion_ci(0.95, method="wilson")
    of_right = np.maximum(given[np.arange(len(right)), right], np.finfo(np.float32).tiny)
    return Metrics(
        images=len(right),
        errors=errors,
        error=errors / len(right),
        interval=(float(interval.low), float(interval.high)),
        log_loss=float(-np.log(of_right).mean()),
    )


def confusion(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """How often digit i was answered with j: int64 [10, 10]."""
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(probabilities).argmax(axis=1)), 1)
    return counts
