"""Outlier exposure: the head of a detector refuses what the distance alone accepts, and repeats bit for bit."""

import numpy as np
import pytest

from tests.support.small import QUICK, unwatched
from training import mnist
from training.answers import NOVELTY
from training.data.split import split
from training.evaluation.outliers import outliers
from training.fitting import outlier_exposure
from training.fitting.calibration import distance_from
from training.fitting.loop import before_first_epoch, fit
from training.fitting.outlier_exposure import with_head
from training.network.compiled import CompiledNetwork
from training.network.layers import Conv, Dense, Flatten, MaxPool
from training.photos.sources import DEVELOPMENT
from training.uncertainty.novelty import Detector
from training.uncertainty.rejection import REFUSED, upper_quantile

pytestmark = pytest.mark.as_served


@pytest.fixture(scope="module")
def distance(trained):
    return Detector(*trained[0].trust.novelty.detector[:2])


@pytest.fixture(scope="module")
def training(few_digits):
    return split(few_digits, 500)[0]


def test_the_same_seed_gives_the_same_head_and_another_seed_does_not(trained, distance, training):
    card, params = trained
    first, second, other = (with_head(card.layers, params, distance, training, seed).head for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert np.array_equal(first, card.trust.novelty.detector.head)
    assert not np.array_equal(first, other)


def test_the_head_refuses_what_the_distance_accepts_and_few_digits(few_digits, monkeypatch):
    monkeypatch.setattr(outlier_exposure, "SPOILED", 2000)
    monkeypatch.setattr(outlier_exposure, "VIEWS", 2)
    layers = (Conv(16, kernel=5, activation="relu"), MaxPool(4), Flatten(), Dense(10))
    training, validation = split(few_digits, 500)
    *_, last = fit(layers, QUICK, training, validation, before_first_epoch(layers, QUICK), unwatched)
    params = last.state.average
    distance = distance_from(layers, params, training, QUICK.distortion)
    held_out, fresh = mnist.train().images[4000:6000], mnist.train().images[6000:8000]
    families = outliers(held_out, DEVELOPMENT) | {"digits": fresh}

    def refused(detector):
        network = CompiledNetwork(layers, params, detector=detector, row_sizes=(1000,))
        limit, _ = upper_quantile(network.columns(held_out)[:, NOVELTY], REFUSED)
        return {name: (network.columns(images)[:, NOVELTY] > limit).mean() for name, images in families.items()}

    before, after = refused(distance), refused(with_head(layers, params, distance, training, 0))
    assert after["digits"] < 0.02
    for name in ("letters", "signs", "shapes", "blots", "QR codes"):
        assert after[name] > before[name] + 0.15, name
    for name in ("uniform noise", "Gaussian noise", "blank and full", "two digits", "inverted", "photographs"):
        assert after[name] > 0.9, name


def test_few_digits_are_repeated(trained, distance, few_digits):
    card, params = trained
    head = with_head(card.layers, params, distance, few_digits.take(np.arange(30)), 0).head
    assert head.shape == card.trust.novelty.detector.head.shape
    assert np.isfinite(head).all()
