"""Thresholds between paper and ink, by the histogram of darkness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.picture.levels import Levels

    Counts = NDArray[np.int64]

LEVELS: Final = 512
"""Number of levels of a histogram."""


def histogram(values: Levels) -> Counts:
    """How many of the values in 0…1 are in each of LEVELS equal bins: [LEVELS]."""
    return np.bincount((values * (LEVELS - 1)).astype(np.int16).ravel(), minlength=LEVELS)


def otsu(counts: Counts) -> int:
    """The bin with which the upper one of two groups begins (Otsu 1979, A threshold selection method)."""
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(LEVELS))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.nan_to_num(between).argmax()) + 1


def quantile(counts: Counts, share: float) -> float:
    """The value in 0…1 below which there is this share of what a histogram counts."""
    total = np.cumsum(counts)
    return float(np.searchsorted(total, share * total[-1])) / (LEVELS - 1)


def deviation(counts: Counts) -> tuple[float, float]:
    """Median and standard deviation of what a histogram counts, by its median absolute deviation, as if Gaussian."""
    middle = quantile(counts, 0.5)
    away = np.abs(np.arange(LEVELS) - middle * (LEVELS - 1)).astype(np.intp)
    return middle, 1.4826 * quantile(np.bincount(away, counts, minlength=LEVELS), 0.5)
