"""Paired tests of two networks on the same pictures: McNemar's test, non-inferiority, Holm's correction."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

TINY = 1e-6
"""Distance from margins at which the score test is not defined."""


class Pairs(NamedTuple):
    """Discordant pairs: how often exactly one of two networks, the old and the new one, was right about a picture."""

    pictures: int
    lost: int
    """The old one was right, the new one is wrong."""
    won: int
    """The old one was wrong, the new one is right."""

    @classmethod
    def of(cls, old: ArrayLike, new: ArrayLike, labels: ArrayLike) -> Self:
        """The pairs by the answers of the old and the new network [n] and the labels [n]."""
        old_right, new_right = np.asarray(old) == labels, np.asarray(new) == labels
        lost, won = np.count_nonzero(old_right & ~new_right), np.count_nonzero(~old_right & new_right)
        return cls(len(old_right), int(lost), int(won))

    @property
    def reversed(self) -> Self:
        """The same with old and new exchanged."""
        return self._replace(lost=self.won, won=self.lost)


def p_better(pairs: Pairs) -> float:
    """The p-value, 0…1, of the null hypothesis that the new network is no better.

    The exact one-sided test of McNemar 1947: given lost + won, won is binomial with probability 1/2. 1 without
    discordant pairs.
    """
    return float(binom.sf(pairs.won - 1, pairs.lost + pairs.won, 0.5))


def p_not_worse(pairs: Pairs, margin: float) -> float:
    """Non-inferiority: the p-value, 0…1, of an error rate of the new network that is higher by `margin` (0…1) or more.

    The score test of Nam 1997 (the same as Tango's of 1998), with the variance that is most likely where the rates
    differ by just the margin. Conditioning on lost + won, as McNemar does, has no exact counterpart for a margin above
    0, and Wald's test rejects too often where errors are few; of the tests that remain, this is the one that Liu,
    Hsueh, Hsieh & Chen 2002 advise. It is defined even when no picture differs.
    """
    n, lost, won = pairs
    b = lost + won + margin * (lost - won) - 2 * n * margin
    root = sqrt(max(0.0, b**2 + 8 * n * won * margin * (1 - margin)))  # rounding could make it negative
    share_won = (b + root) / (4 * n)
    deviation = sqrt(n * (2 * share_won + margin * (1 - margin)))
    return float(norm.cdf((lost - won - n * margin) / deviation))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple testing, each to be compared with alpha (Holm 1979)."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def highest_share(times: int, of: int, alpha: float) -> float:
    """The upper confidence bound, one-sided with confidence 1 - alpha, of a share seen `times` of `of`.

    Exact (Clopper & Pearson 1934).
    """
    return float(binomtest(times, of, alternative="less").proportion_ci(1 - alpha, method="exact").high)


def p_different(pairs: Pairs) -> float:
    """The p-value, 0…1, of the hypothesis that both networks err equally often: McNemar's exact test, two-sided."""
    return min(1.0, 2 * min(p_better(pairs), p_better(pairs.reversed)))


def difference_interval(pairs: Pairs, alpha: float = 0.05) -> tuple[float, float]:
    """The interval, with confidence 1 - alpha, of the new network's error rate minus the old one's, within -1…1.

    Tango's score interval of 1998: the margins that `p_not_worse` does not reject, on either side.
    """
    return -_highest_difference(pairs.reversed, alpha / 2), _highest_difference(pairs, alpha / 2)


def _highest_difference(pairs: Pairs, alpha: float) -> float:
    """The upper bound, one-sided with confidence 1 - alpha, of the new error rate minus the old one."""
    found = (pairs.lost - pairs.won) / pairs.pictures
    if found == 1:
        return 1.0
    return float(brentq(lambda margin: p_not_worse(pairs, margin) - alpha, found + TINY, 1 - TINY))
