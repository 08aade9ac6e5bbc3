"""Confidence that can be trusted: the temperature of a network's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training.card import Calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Calibration:
    """The temperature with the least log-loss on logits [n, 10] and labels [n] that were not trained on.

    Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks.
    """
    rows = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    best = minimize_scalar(log_loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return Calibration(temperature=float(np.exp(best.x)))
