"""Rejection: the confidence limit of accepted answers, and prediction sets with guaranteed coverage."""

from math import ceil

import numpy as np
import pytest
from scipy.special import softmax

from training.uncertainty.rejection import Sets, control_risk, prediction_sets, uncalibrated, upper_quantile


def answers(random, n):
    """Certainties [n] of answers, and which are wrong: the surer, the seldomer; 1.4 % in all."""
    certainty = random.uniform(size=n)
    return certainty, random.uniform(size=n) < 0.3 * (1 - certainty) ** 20


def test_the_limit_leaves_as_many_errors_as_the_risk_allows():
    certainty = np.arange(1, 5001) / 5001
    wrong = np.zeros(5000, bool)
    wrong[[10, 20, 30, 40, 4000]] = True  # ascending by certainty: four errors are sure ones, beyond the fifth
    found = control_risk(certainty, wrong, risk=0.001)
    # 0.9 * 0.001 * 5001 - 1 = 3.5: three errors may stay, and the fourth-surest wrong answer is refused
    assert found.certainty == certainty[20]
    assert (found.errors, found.accepted) == (3, (5000 - 21) / 5000)
    assert found.accepted_and_wrong == 4 / 5001
    assert found.guaranteed


def test_without_errors_everything_is_accepted():
    found = control_risk(np.linspace(0.1, 1, 5000), np.zeros(5000, bool))
    assert (found.certainty, found.accepted, found.errors, found.guaranteed) == (0.0, 1.0, 0, True)


@pytest.mark.parametrize("n", [500, 1110])
def test_too_few_digits_give_no_guarantee_and_the_strictest_limit(n):
    """0 of 1,110 wrong still allows (0 + 1) / 1,111 of them to be, which is more than 0.9 of a thousandth."""
    certainty = np.arange(1, n + 1) / n
    found = control_risk(certainty, np.arange(n) == 100, risk=0.001)
    assert not found.guaranteed
    assert found.certainty == certainty[100]
    assert found.errors == 0
    assert control_risk(np.arange(1, 1112) / 1112, np.zeros(1111, bool), risk=0.001).guaranteed


def test_a_bad_model_gets_no_guarantee():
    """Sure and wrong in a tenth of all answers: to keep the risk, more than a tenth would have to be refused."""
    random = np.random.default_rng(0)
    found = control_risk(random.uniform(size=5000), random.uniform(size=5000) < 0.1)
    assert found.accepted < 0.9
    assert not found.guaranteed


def test_the_risk_is_kept_on_average_over_many_draws():
    """2,000 draws of 2,000 held-out answers: the true share of accepted and wrong ones, and of wrong among these."""
    random = np.random.default_rng(7)
    surest, wrong = answers(np.random.default_rng(8), 2_000_000)
    order = np.argsort(surest)
    surest, tail = surest[order], np.append(np.cumsum(wrong[order][::-1])[::-1], 0) / len(wrong)
    risk, joint, share, promised = 0.004, [], [], []
    for _ in range(2000):
        found = control_risk(*answers(random, 2000), risk=risk)
        place = np.searchsorted(surest, found.certainty, "right")
        joint.append(tail[place])
        share.append(1 - place / len(surest))
        promised.append(found.accepted_and_wrong)
    assert promised == [7 / 2001] * 2000  # 6 errors may stay: 7 / 2001 is below 0.9 of the risk, 8 / 2001 is not
    assert np.mean(joint) == pytest.approx(7 / 2001, rel=0.025)  # 3 standard errors: just what was promised, no less
    assert np.mean(joint) / np.mean(share) <= risk


@pytest.mark.parametrize("coverage", [0.9, 0.95, 0.99])
def test_sets_hold_the_right_digit_as_often_as_promised(coverage):
    """Averaged over 400 draws of 300 held-out digits; too often by at most 1 / 301, and by what ties would add."""
    random = np.random.default_rng(3)

    def drawn(n):
        logits = random.normal(size=(n, 10)) * 2
        return logits, (logits + random.gumbel(size=(n, 10))).argmax(axis=1)  # drawn from the softmax

    logits, labels = drawn(5000)
    plain = softmax(logits, axis=1)
    held = [(plain >= Sets.of(*drawn(300)).limit(coverage))[np.arange(len(labels)), labels].mean() for _ in range(400)]
    rank = ceil(coverage * 301)
    assert np.mean(held) == pytest.approx(rank / 301, abs=0.006)


def test_the_limit_of_sets_is_the_order_statistic_of_the_coverage():
    probabilities = np.arange(1, 100) / 100  # of the right digit, 99 held-out ones
    sets = Sets(99, tuple(probabilities[:10].tolist()))
    assert [sets.limit(of) for of in (0.9, 0.95, 0.99)] == [0.10, 0.05, 0.01]
    assert sets.limit(0.995) == 0.0  # 99 digits say nothing of it: every digit is in


def test_a_set_is_never_empty_and_small_where_the_answer_is_sure():
    plain = np.array([[0.5, 0.3, 0.2] + [0.0] * 7, [0.99, 0.01] + [0.0] * 8])
    assert prediction_sets(plain, 0.6).sum(axis=1).tolist() == [1, 1]
    assert np.flatnonzero(prediction_sets(plain, 0.2)[0]).tolist() == [0, 1, 2]


def test_sets_hold_logits_of_the_network_and_no_temperature():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 10)) * 3, random.integers(0, 10, 200).astype(np.uint8)
    lowest = Sets.of(logits, labels).lowest
    plain = uncalibrated(softmax(logits / 1.7, axis=1), 1.7)
    right = np.sort(plain[np.arange(200), labels])
    assert lowest == pytest.approx(right[: len(lowest)])
    assert len(lowest) == ceil(0.1 * 201)


def test_the_upper_quantile_is_exceeded_as_seldom_as_it_says():
    values = np.arange(1000.0)
    limit, share = upper_quantile(values, 0.005)
    assert (limit, share) == (995.0, 5 / 1001)  # rank 996 of 1,000
    assert upper_quantile(values[:50], 0.005) == (49.0, 1 / 51)  # as few digits can promise
    random = np.random.default_rng(1)
    exceeded = [random.normal() > upper_quantile(random.normal(size=60), 0.1)[0] for _ in range(4000)]
    assert np.mean(exceeded) == pytest.approx(upper_quantile(np.zeros(60), 0.1)[1], abs=0.015)
