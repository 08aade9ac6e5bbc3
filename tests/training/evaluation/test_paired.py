"""Paired tests of two classifiers: McNemar's test, non-inferiority by the score test, Holm's correction."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from training.evaluation.paired import (
    Pairs,
    difference_interval,
    highest_share,
    holm,
    p_better,
    p_different,
    p_not_worse,
)


@st.composite
def pairs(draw) -> Pairs:
    pictures = draw(st.integers(1, 6000))
    lost = draw(st.integers(0, min(pictures, 300)))
    return Pairs(pictures, lost, draw(st.integers(0, min(pictures - lost, 300))))


margins = st.floats(0.001, 0.2)


def test_only_pictures_that_one_of_the_two_got_wrong_count():
    labels, old, new = [0, 1, 2, 3, 4, 5], [0, 1, 2, 9, 9, 9], [0, 9, 2, 3, 4, 8]
    assert Pairs.of(old, new, np.array(labels)) == Pairs(pictures=6, lost=1, won=2)


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(0, 5, 1 / 32), (1, 5, 7 / 64), (0, 4, 1 / 16), (3, 3, 42 / 64), (5, 0, 1), (0, 0, 1)],
)
def test_mcnemar_s_exact_p_values_by_hand(lost, won, p):
    assert p_better(Pairs(1000, lost, won)) == pytest.approx(p, rel=1e-12)


@given(pairs())
def test_better_and_worse_are_each_other_s_mirror(of):
    tie = binom.pmf(of.won, of.lost + of.won, 0.5)
    assert p_better(of) + p_better(of.reversed) == pytest.approx(1 + tie)


def test_the_score_test_without_any_difference_by_hand():
    """10 losses more are the least that is too many: z = -10 / sqrt(10 x 0.998)."""
    assert p_not_worse(Pairs(5000, 0, 0), 0.002) == pytest.approx(norm.cdf(-10 / sqrt(9.98)), rel=1e-9)
    assert p_not_worse(Pairs(5000, 10, 0), 0.002) == pytest.approx(0.5)


@given(pairs(), margins)
def test_the_score_test_s_variance_is_the_most_likely_one_at_the_margin(of, margin):
    n, lost, won = of

    def unlikely(share_won: float) -> float:
        shares = np.maximum([share_won + margin, share_won, 1 - 2 * share_won - margin], 1e-300)
        return -float(np.array([lost, won, n - lost - won]) @ np.log(shares))

    best = minimize_scalar(unlikely, bounds=(0, (1 - margin) / 2), method="bounded", options={"xatol": 1e-12}).x
    z = (lost - won - n * margin) / sqrt(n * (2 * best + margin * (1 - margin)))
    assert p_not_worse(of, margin) == pytest.approx(norm.cdf(z), abs=2e-3)


@given(pairs(), margins)
def test_more_losses_and_a_narrower_margin_are_harder_to_call_not_worse(of, margin):
    if of.lost + of.won < of.pictures:
        assert p_not_worse(of, margin) <= p_not_worse(of._replace(lost=of.lost + 1), margin) + 1e-9
    assert p_not_worse(of, margin) <= p_not_worse(of, margin / 2) + 1e-9


def chance_of_passing(n: int, margin: float, share_won: float, alpha: float) -> float:
    """The exact chance that the score test passes a network which is worse by just the margin."""
    share_lost, chance = share_won + margin, 0.0
    for won in range(int(n * share_won + 10 * sqrt(n * share_won)) + 10):
        passing, failing = -1, int(n * share_lost + 10 * sqrt(n * share_lost)) + 10
        while failing - passing > 1:  # how many losses still pass
            middle = (passing + failing) // 2
            passes = p_not_worse(Pairs(n, middle, won), margin) < alpha
            passing, failing = (middle, failing) if passes else (passing, middle)
        if passing >= 0:
            chance += binom.pmf(won, n, share_won) * binom.cdf(passing, n - won, share_lost / (1 - share_won))
    return float(chance)


@pytest.mark.parametrize("share_won", [1e-6, 0.0005, 0.001, 0.002, 0.004, 0.01, 0.03])
@pytest.mark.parametrize(("n", "margin"), [(5000, 0.003), (5000, 0.002), (1000, 0.005), (500, 0.02)])
def test_a_network_worse_by_the_margin_passes_with_no_more_than_the_chance_that_was_promised(n, margin, share_won):
    """Exact, no simulation: every possible outcome is weighed. Wald's test passes up to 12 %, of 1,000 pictures."""
    assert chance_of_passing(n, margin, share_won, alpha=0.05) < 0.0505


def test_the_score_test_passes_a_network_that_is_just_as_good():
    assert p_not_worse(Pairs(5000, 10, 10), 0.003) < 0.05
    assert p_not_worse(Pairs(5000, 25, 10), 0.003) > 0.05


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_at_least_the_p_value_at_most_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for p, after in zip(p_values, adjusted, strict=True):
        assert p <= after <= min(1, len(p_values) * p)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_the_highest_share_by_hand():
    """Of a share s, nothing is seen in 29 with the chance (1 - s) ** 29."""
    assert highest_share(0, 29, 0.05) == pytest.approx(1 - 0.05 ** (1 / 29))
    assert highest_share(29, 29, 0.05) == 1
    assert binom.cdf(15, 750, highest_share(15, 750, 0.05)) == pytest.approx(0.05)


def test_the_two_sided_test_doubles_the_smaller_side():
    assert p_different(Pairs(1000, 0, 5)) == p_different(Pairs(1000, 5, 0)) == pytest.approx(1 / 16)
    assert p_different(Pairs(1000, 3, 3)) == p_different(Pairs(1000, 0, 0)) == 1


def test_the_interval_without_any_difference_by_hand():
    """z² / (n + z²) on either side (Tango 1998)."""
    square = norm.ppf(0.975) ** 2
    assert difference_interval(Pairs(100, 0, 0)) == pytest.approx((-square / (100 + square), square / (100 + square)))


@given(pairs())
def test_the_interval_has_the_difference_inside_and_ends_where_the_score_test_begins_to_reject(of):
    low, high = difference_interval(of)
    assert -1 <= low <= (of.lost - of.won) / of.pictures <= high <= 1
    assert difference_interval(of.reversed) == pytest.approx((-high, -low))
    assert high == 1 or p_not_worse(of, high) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize("of", [Pairs(1, 1, 0), Pairs(1, 0, 1), Pairs(3, 0, 3), Pairs(1, 0, 0)])
def test_the_interval_exists_at_the_extremes(of):
    low, high = difference_interval(of)
    assert -1 <= low < high <= 1
