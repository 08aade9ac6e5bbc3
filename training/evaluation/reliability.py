"""Calibration: the reliability diagram and the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.evaluation.scores import wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 15


class Bin(NamedTuple):
    """A bin of the diagram: answers of similar confidence."""

    answers: int
    confidence: float
    """Its mean over the answers, 0…1."""
    right: float
    """The share of right answers, 0…1."""
    interval: tuple[float, float]
    """The 95 % interval of that share (Wilson 1927)."""


class Reliability(NamedTuple):
    """A reliability diagram: its bins from the least to the most confident, and the calibration error."""

    bins: tuple[Bin, ...]
    error: float
    """The expected calibration error, 0…1: the mean difference of confidence and share of right answers."""


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> Reliability:
    """The diagram by probabilities [n, 10] and labels [n], in bins of equally many answers.

    Almost all answers have a confidence near 1: with bins of equal width they would all be in the last one
    (Nixon et al. 2019, Measuring calibration in deep learning).
    """
    given, labelled = np.asarray(probabilities, np.float64), np.asarray(labels)
    confidence, right = given.max(axis=1), given.argmax(axis=1) == labelled
    order = np.argsort(confidence, kind="stable")
    found = tuple(_bin(confidence[rows], right[rows]) for rows in np.array_split(order, min(bins, len(order))))
    apart = sum(of.answers * abs(of.right - of.confidence) for of in found)
    return Reliability(found, apart / len(order))


def _bin(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    return Bin(len(right), float(confidence.mean()), float(right.mean()), wilson(int(right.sum()), len(right)))
