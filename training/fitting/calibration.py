"""Calibration of a trained network: temperature scaling, out-of-distribution distance, limits of accepted answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training.answers import CERTAINTY, DIGIT, NOVELTY
from training.drift import reference
from training.fitting.augmentation import distort
from training.fitting.loop import compile_logits
from training.store.card import Calibration, Trust
from training.uncertainty.moments import moments
from training.uncertainty.novelty import Novelty, fit_distance
from training.uncertainty.rejection import REFUSED, Sets, control_risk, upper_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.network.layers import Layers
    from training.network.module import Params
    from training.recipe import Distortion
    from training.uncertainty.novelty import Detector

DISTANCE_IMAGES = 10_000
"""Number of training images that the distance in 16 numbers is fitted to."""
ROWS_AT_A_TIME = 2500

_distort = jax.jit(distort, static_argnums=2)
_moments = jax.jit(moments)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Calibration:
    """The temperature with the least log-loss on logits [n, 10] and labels [n] that were not trained on.

    Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks.
    """
    rows = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return Calibration(temperature=float(np.exp(best.x)))


def distance_from(layers: Layers, params: Params, training: Digits, distortion: Distortion) -> Detector:
    """The out-of-distribution distance from the digits that a network was trained on.

    The moments are those of distorted copies, as in training: a digit one pixel beside the middle is not an outlier.
    The logits are those of the digits as they are.
    """
    rows = np.linspace(0, len(training) - 1, min(len(training), DISTANCE_IMAGES)).astype(np.intp)
    some = training.take(rows)
    ink = []
    for first in range(0, len(some), ROWS_AT_A_TIME):
        images, key = some.images[first : first + ROWS_AT_A_TIME], jax.random.key(first)
        ink.append(np.asarray(_moments(_distort(images, key, distortion))))
    return fit_distance(np.concatenate(ink), compile_logits(layers)(params, some), some.labels)


def fit_trust(
    logits: NDArray[np.float32], columns: NDArray[np.float32], labels: NDArray[np.uint8], detector: Detector
) -> Trust:
    """The limits by the logits [n, 10], columns [n, 16] and labels [n] of held-out digits."""
    wrong = columns[:, DIGIT] != labels
    limit, refused = upper_quantile(columns[:, NOVELTY], REFUSED)
    return Trust(
        rejection=control_risk(columns[:, CERTAINTY], wrong),
        sets=Sets.of(logits, labels),
        novelty=Novelty.of(detector, limit, refused),
        reference=reference(columns),
    )
