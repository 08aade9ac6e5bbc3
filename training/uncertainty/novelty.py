"""Whether a picture shows a digit at all: how far it is from everything that a network has learned to read.

The distance is that of Lee, Lee, Lee & Shin 2018 (A simple unified framework for detecting out-of-distribution
samples): Mahalanobis', to the nearest class, with one covariance for all classes. It is measured in the ten logits and
in six numbers about the ink itself (its mass, centre and spread: moments, Hu 1962), because a network sees only what
tells digits apart: to noise and to negatives it gives logits like those of digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Distance: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.float32]]"
"""What the 16 numbers are multiplied by, so that classes have covariance 1, [16, 16]; their middles then, [10, 16]."""
NUMBERS: Final = 6 + CLASSES
RIDGE: Final = 1e-4
"""Of the variance of each number: keeps the covariance invertible where there are few digits."""


class Novelty(msgspec.Struct, frozen=True):
    """The distance of a version, in numbers that were fitted to digits of its training."""

    whitening: bytes
    """float32 [16, 16], little-endian, row by row; base64 in JSON."""
    means: bytes
    """float32 [10, 16]: the middle of each class, whitened."""
    limit: float
    """A picture with a larger squared distance is refused as not a digit."""
    refused: float
    """At most this share of digits like the held-out ones is refused so in expectation (split conformal), 0…1."""

    @property
    def distance(self) -> Distance:
        """Whitening and means as arrays."""
        whitening, means = (np.frombuffer(of, "<f4").reshape(-1, NUMBERS) for of in (self.whitening, self.means))
        return whitening, means


NOWHERE: Final[Distance] = (np.zeros((NUMBERS, NUMBERS), np.float32), np.zeros((CLASSES, NUMBERS), np.float32))
"""The distance of a version that has none: it is always 0."""


def fit_distance(moments: NDArray[np.float32], logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Distance:
    """The distance from digits: moments [n, 6], logits [n, 10], labels [n]."""
    numbers = np.concatenate([moments, logits], axis=1).astype(np.float64)
    means = np.tile(numbers.mean(axis=0), (CLASSES, 1))  # where a class has no digit, the middle of all
    for digit in np.unique(labels):
        means[digit] = numbers[labels == digit].mean(axis=0)
    within = numbers - means[labels]
    covariance = within.T @ within / len(within)
    covariance += np.diag(RIDGE * np.maximum(numbers.var(axis=0), 1e-6))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return whitening.astype("<f4"), (means @ whitening).astype("<f4")
