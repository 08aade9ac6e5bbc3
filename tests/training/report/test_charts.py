"""Charts of the report: the network drawn, learning curves, how reliable confidence is."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.report import SPACE, Page
from training.evaluation.reliability import reliability
from training.network.models import MODELS
from training.report import charts, page
from training.report.drawing import BOX, stages
from training.store.card import EpochRow
from training.uncertainty.rejection import uncalibrated


def test_the_network_is_drawn_with_the_shapes_and_weights_of_every_layer():
    drawn = stages(MODELS["lenet"])
    assert [stage.shape for stage in drawn] == [
        *((28, 28, 1), (24, 24, 32), (12, 12, 32), (10, 10, 32), (5, 5, 32), (800,), (100,), (100,), (10,))
    ]
    assert [stage.weights for stage in drawn] == [0, 832, 0, 9248, 0, 0, 80100, 0, 1010]
    assert sum(stage.weights for stage in drawn) == 91190
    assert sum(stage.share for stage in drawn) == pytest.approx(1)
    assert (drawn[1].title, drawn[1].detail) == (f"convolution 5{SPACE}\N{MULTIPLICATION SIGN}{SPACE}5", "valid, relu")
    for stage in drawn:
        for of in stage.drawing:
            assert min(of.x, of.y) >= 0
            assert max(of.x + of.width, of.y + of.height) <= BOX


def test_a_chart_has_a_mark_for_each_epoch_and_the_colours_of_the_page(tiny):
    history = tuple(EpochRow(epoch, 1 / epoch, 0.0 if epoch == 5 else 0.1 / epoch, 1.0, 1.0) for epoch in range(1, 6))
    card = msgspec.structs.replace(tiny.card, history=history)
    for chart in (charts.losses([card], charts.SERIES[:1]), charts.validation_errors([card], charts.SERIES[:1])):
        assert len(re.findall(r'<use [^>]*style="fill: var\(--series-0\)', chart)) == 5
        assert not [colour for colour in charts.VARIABLES if colour in chart]
        assert "epoch</text>" in chart
        Page(chart)


def test_every_colour_of_the_light_page_has_a_dark_one_and_the_other_way_round():
    css = (Path(page.__file__).with_name("page.css")).read_text()
    light, dark = (
        set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    )
    assert light == dark
    assert set(charts.VARIABLES.values()) <= light
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= light | {"--series", "--strength"}


def test_reliability_puts_equally_many_answers_into_each_bin():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(10, 0.1), 1000)
    found = reliability(probabilities, random.integers(0, 10, 1000))
    assert sorted({of.answers for of in found.bins}) == [66, 67]
    assert (len(found.bins), sum(of.answers for of in found.bins)) == (15, 1000)
    confidences = [of.confidence for of in found.bins]
    assert confidences == sorted(confidences)


def test_the_expected_calibration_error_is_how_far_confidence_is_off():
    """80 % sure of a 0; of each ten answers six are right."""
    probabilities = np.tile([0.8, 0.2, *[0.0] * 8], (1500, 1))
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 0] * 150)
    found = reliability(probabilities, labels)
    assert found.error == pytest.approx(0.2)
    assert all((of.confidence, of.right) == (pytest.approx(0.8), pytest.approx(0.6)) for of in found.bins)
    assert all(of.interval[0] < 0.6 < of.interval[1] for of in found.bins)


def test_fewer_answers_than_bins_are_a_bin_each():
    assert [of.answers for of in reliability(np.eye(10)[:3], [0, 1, 5]).bins] == [1, 1, 1]


def test_the_temperature_can_be_taken_back():
    logits = np.random.default_rng(0).normal(size=(100, 10)) * 5

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    assert uncalibrated(softmax(logits / 1.7), 1.7) == pytest.approx(softmax(logits), abs=1e-12)
    assert np.array_equal(uncalibrated(np.eye(10), 1.7), np.eye(10))
