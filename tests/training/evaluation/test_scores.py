"""Scores on labelled digits: errors, confidence intervals, log loss, confusion matrix, temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from training.data.digits import Digits
from training.evaluation.scores import confusion, predict, score, wilson
from training.fitting.calibration import fit_temperature


def one_hot(digits):
    return np.eye(10, dtype=np.float32)[digits]


def test_errors_are_counted_over_every_picture():
    right = np.arange(10_000) % 10
    given_digits = right.copy()
    given_digits[[0, 5000, 9999]] += 1
    metrics = score(one_hot(given_digits % 10), right)
    assert (metrics.images, metrics.errors, metrics.error) == (10_000, 3, 0.0003)


def test_the_interval_is_wilsons():
    """67 of 10,000: computed by hand from Wilson 1927."""
    right = np.zeros(10_000, int)
    digits = right.copy()
    digits[:67] = 1
    assert score(one_hot(digits), right).interval == pytest.approx((0.0052796, 0.0084992), abs=1e-6)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(1, 100_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_is_that_of_scipy(counts):
    ends = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson(*counts) == pytest.approx((ends.low, ends.high), abs=1e-12)


@pytest.mark.parametrize("of", [1, 3, 10_000])
def test_an_interval_begins_at_exactly_0_without_errors_and_ends_at_exactly_1_without_anything_else(of):
    assert wilson(0, of)[0] == 0 < wilson(0, of)[1]
    assert wilson(of, of)[1] == 1 > wilson(of, of)[0]


def test_the_interval_of_a_mean_count_lies_between_those_of_its_neighbours():
    low, middle, high = (wilson(times, 10_000) for times in (45, 45 + 1 / 3, 46))
    assert low[0] < middle[0] < high[0]
    assert low[1] < middle[1] < high[1]


def test_the_log_loss_of_a_certain_mistake_is_finite():
    assert np.isfinite(score(one_hot([1]), [0]).log_loss)


def test_the_last_partial_batch_is_scored():
    digits = Digits(np.zeros((2345, 28, 28), np.uint8), np.zeros(2345, np.uint8))
    done = []
    assert predict(lambda images: np.full((len(images), 10), 0.1, np.float32), digits, done.append).shape == (2345, 10)
    assert done == [1000, 1000, 345]


def test_confusion_counts_right_digits_by_row():
    counts = confusion(one_hot([3, 3, 5]), [3, 5, 5])
    assert (counts[3, 3], counts[5, 3], counts[5, 5], counts.sum()) == (1, 1, 1, 3)


@settings(deadline=None)  # the machine may be busy
@given(st.floats(0.3, 4.0))
def test_the_temperature_of_overconfident_logits_is_found(temperature):
    """Labels drawn from softmax(logits): logits multiplied by t are calibrated by dividing by t again."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 10)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(10, p=row) for row in probabilities[:4000]])
    found = fit_temperature((logits[:4000] * temperature).astype(np.float32), labels).temperature
    assert found == pytest.approx(temperature, rel=0.1)
