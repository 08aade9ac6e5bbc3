"""Two versions on the same pictures: which answers changed, for better or worse, and whether that can be chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

from training.evaluation.paired import Pairs, difference_interval, p_different
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Changed(msgspec.Struct, frozen=True):
    """A picture that exactly one of two versions reads right, or that both read wrong in different ways."""

    picture: int
    """Its place among the pictures, from 0."""
    digit: int
    """Its label."""
    first: int
    """The answer of the first version."""
    second: int


class DigitChanges(msgspec.Struct, frozen=True):
    """The pictures of one digit that exactly one of two versions reads right."""

    digit: int
    pictures: int
    lost: int
    """Only the first version is right."""
    won: int
    """Only the second version is right."""


class Comparison(msgspec.Struct, frozen=True):
    """The second of two versions beside the first one."""

    pictures: int
    errors: tuple[int, int]
    lost: int
    """Pictures that only the first version reads right."""
    won: int
    """Pictures that only the second version reads right."""
    difference: float
    """Error rate of the second version minus that of the first one, from -1 to 1."""
    interval: tuple[float, float]
    """The 95 % interval of the difference."""
    p_value: float
    """McNemar's exact test, two-sided, that the error rates are equal."""
    digits: list[DigitChanges]
    changed: list[Changed]

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> Self:
        """The comparison by the digits [n] that each version answers and the labels [n]."""
        one, other, right = np.asarray(first), np.asarray(second), np.asarray(labels)
        pairs = Pairs.of(one, other, right)
        digits = []
        for digit in range(CLASSES):
            of = right == digit
            by = Pairs.of(one[of], other[of], right[of])
            digits.append(DigitChanges(digit, by.pictures, by.lost, by.won))
        return cls(
            pictures=pairs.pictures,
            errors=(int(np.count_nonzero(one != right)), int(np.count_nonzero(other != right))),
            lost=pairs.lost,
            won=pairs.won,
            difference=(pairs.lost - pairs.won) / pairs.pictures,
            interval=difference_interval(pairs),
            p_value=p_different(pairs),
            digits=digits,
            changed=[
                Changed(int(row), int(right[row]), int(one[row]), int(other[row]))
                for row in np.flatnonzero(one != other)
            ],
        )
