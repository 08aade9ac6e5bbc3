"""Out-of-distribution detection: how far a picture is from the digits that a network was trained on.

It is the Mahalanobis distance of Lee, Lee, Lee & Shin 2018 (A simple unified framework for detecting
out-of-distribution samples) to the nearest class, with one covariance for all classes. It is measured in 16 numbers:
the ten logits and six moments of the ink (mass, centre and spread, Hu 1962). The logits alone do not suffice, because a
network sees only what tells digits apart: noise and negatives have logits like those of digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Distance: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.float32]]"
"""The whitening matrix [16, 16], which makes the covariance within classes 1, and the whitened class means [10, 16]."""
NUMBERS: Final = 6 + CLASSES
RIDGE: Final = 1e-4
"""Share of the variance of each number that is added to it: keeps the covariance invertible where digits are few."""


class Novelty(msgspec.Struct, frozen=True):
    """The distance of a version, fitted to digits of its training, and the limit beyond which a picture is refused."""

    whitening: bytes
    """float32 [16, 16], little-endian, row by row; base64 in JSON."""
    means: bytes
    """float32 [10, 16]: the mean of each class, whitened."""
    limit: float
    """A picture with a larger squared distance is refused as not a digit."""
    refused: float
    """Upper bound of the expected share of refused digits, 0…1, for digits like the held-out ones (split conformal)."""

    def __post_init__(self) -> None:
        for name, rows in (("whitening", NUMBERS), ("means", CLASSES)):
            content = getattr(self, name)
            if len(content) != 4 * rows * NUMBERS:
                raise ValueError(
                    f"{name} has {len(content)} bytes, want {4 * rows * NUMBERS}: float32 [{rows}, {NUMBERS}]"
                )
            if not np.isfinite(np.frombuffer(content, "<f4")).all():
                raise ValueError(f"{name} has numbers that are not finite")

    @property
    def distance(self) -> Distance:
        """`whitening` and `means` as arrays."""
        whitening, means = (np.frombuffer(of, "<f4").reshape(-1, NUMBERS) for of in (self.whitening, self.means))
        return whitening, means


NOWHERE: Final[Distance] = (np.zeros((NUMBERS, NUMBERS), np.float32), np.zeros((CLASSES, NUMBERS), np.float32))
"""The distance of a version whose card has none: always 0."""


def fit_distance(moments: NDArray[np.float32], logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Distance:
    """The distance from digits, by their moments [n, 6], logits [n, 10] and labels [n]."""
    numbers = np.concatenate([moments, logits], axis=1).astype(np.float64)
    means = np.tile(numbers.mean(axis=0), (CLASSES, 1))  # a class without a digit has the mean of all
    for digit in np.unique(labels):
        means[digit] = numbers[labels == digit].mean(axis=0)
    within = numbers - means[labels]
    covariance = within.T @ within / len(within)
    covariance += np.diag(RIDGE * np.maximum(numbers.var(axis=0), 1e-6))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return whitening.astype("<f4"), (means @ whitening).astype("<f4")
