"""Out-of-distribution detection: how far a picture is from the digits that a network was trained on.

It is the Mahalanobis distance of Lee, Lee, Lee & Shin 2018 (A simple unified framework for detecting
out-of-distribution samples) to the nearest class, with one covariance for all classes. It is measured in 16 numbers:
the ten logits and six moments of the ink (mass, centre and spread, Hu 1962). The logits alone do not suffice, because a
network sees only what tells digits apart: noise and negatives have logits like those of digits.

Nor does the distance suffice for letters and whatever else a pen draws. Outlier exposure (Hendrycks, Mazeika &
Dietterich 2019, Deep anomaly detection with outlier exposure): a head, a network of one hidden layer, learns generated
pictures of no digit. It reads the distance beside features of the network, so what is far from digits stays far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS: Final = 6 + CLASSES
READ: Final = NUMBERS + 1
"""How many numbers a head reads beside features of the network (`uncertainty.detector`)."""
HIDDEN: Final = 48
"""Units of the hidden layer of a head."""
RIDGE: Final = 1e-4
"""Share of the variance of each number that is added to it: keeps the covariance invertible where digits are few."""


class Detector(NamedTuple):
    """What novelty is computed with, as arrays of NumPy or JAX: the distance, and the head where there is one."""

    whitening: Any
    """float32 [16, 16]: makes the covariance within classes 1."""
    means: Any
    """float32 [10, 16]: the mean of each class, whitened."""
    head: Any = np.zeros((0, HIDDEN), np.float32)
    """float32 [m + 2, HIDDEN]: kernel for m numbers, bias, output weights; without rows, novelty is the distance²."""


class Novelty(msgspec.Struct, frozen=True):
    """The detector of a version, fitted to digits of its training, and the limit beyond which a picture is refused."""

    whitening: bytes
    """float32 [16, 16], little-endian, row by row; base64 in JSON."""
    means: bytes
    """float32 [10, 16]: the mean of each class, whitened."""
    limit: float
    """A picture of a larger novelty is refused as not a digit."""
    refused: float
    """Upper bound of the expected share of refused digits, 0…1, for digits like the held-out ones (split conformal)."""
    head: bytes = b""
    """float16 [m + 2, HIDDEN]; empty on cards of format 2, whose novelty is the squared distance."""

    def __post_init__(self) -> None:
        for name, rows in (("whitening", NUMBERS), ("means", CLASSES)):
            if len(content := getattr(self, name)) != 4 * rows * NUMBERS:
                raise ValueError(
                    f"{name} has {len(content)} bytes, want {4 * rows * NUMBERS}: float32 [{rows}, {NUMBERS}]"
                )
        if len(self.head) % (2 * HIDDEN):
            raise ValueError(f"head has {len(self.head)} bytes, want a multiple of {2 * HIDDEN}: float16 [m, {HIDDEN}]")
        for name, numbers in self.detector._asdict().items():
            if not np.isfinite(numbers).all():
                raise ValueError(f"{name} has numbers that are not finite")

    @classmethod
    def of(cls, detector: Detector, limit: float, refused: float) -> Novelty:
        """A detector, the numbers of its head within float16, with its limit."""
        whitening, means = (of.astype("<f4").tobytes() for of in (detector.whitening, detector.means))
        return cls(whitening, means, limit, refused, detector.head.astype("<f2").tobytes())

    @property
    def detector(self) -> Detector:
        """`whitening`, `means` and `head` as arrays."""
        whitening, means = (np.frombuffer(of, "<f4").reshape(-1, NUMBERS) for of in (self.whitening, self.means))
        return Detector(whitening, means, np.frombuffer(self.head, "<f2").reshape(-1, HIDDEN).astype(np.float32))


NOWHERE: Final = Detector(np.zeros((NUMBERS, NUMBERS), np.float32), np.zeros((CLASSES, NUMBERS), np.float32))
"""The detector of a version whose card has none: novelty is always 0."""


def fit_distance(moments: NDArray[np.float32], logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Detector:
    """The distance from digits, by their moments [n, 6], logits [n, 10] and labels [n]."""
    numbers = np.concatenate([moments, logits], axis=1).astype(np.float64)
    means = np.tile(numbers.mean(axis=0), (CLASSES, 1))  # a class without a digit has the mean of all
    for digit in np.unique(labels):
        means[digit] = numbers[labels == digit].mean(axis=0)
    within = numbers - means[labels]
    covariance = within.T @ within / len(within)
    covariance += np.diag(RIDGE * np.maximum(numbers.var(axis=0), 1e-6))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return Detector(whitening.astype(np.float32), (means @ whitening).astype(np.float32))
