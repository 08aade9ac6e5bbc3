"""Networks of every kind of layer with weights of noise, and cards for them, without training any."""

import math

import jax
import msgspec
import numpy as np

from training.answers import CERTAINTY, NOVELTY
from training.network.compiled import CompiledNetwork
from training.network.convolution import inference_form
from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool, Reshape, count_features
from training.network.models import MODELS
from training.network.module import abstract_params
from training.store import card as cards
from training.uncertainty.novelty import HIDDEN, READ, Detector, Novelty

EVERY_KIND = {
    **MODELS,
    "same padding, gelu": (Conv(3, kernel=3, padding="same", activation="gelu"), MaxPool(3), Flatten(), Dense(10)),
    "strides, silu": (
        Conv(3, kernel=5, stride=2, activation="silu"),
        Conv(2, kernel=3, stride=3, padding="same"),
        Flatten(),
        Dropout(0.5),
        Dense(10),
    ),
    "reshape, tanh": (
        Reshape((14, 14, 4)),
        Conv(2, kernel=4, activation="tanh"),
        MaxPool(4),
        Reshape((2, 2, 2)),
        Flatten(),
        Dense(12, activation="gelu"),
        Dense(10),
    ),
    "no dense layer": (MaxPool(4), Conv(10, kernel=7), Flatten()),
    "reshape at the end": (
        Conv(2, kernel=24),
        MaxPool(1),
        Conv(1, kernel=1),
        Reshape((25,)),
        Dense(10),
        Reshape((10,)),
    ),
}
"""Lists of layers by name; those without a dense layer behind another one have the picture as features."""
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 28, 28), dtype=np.uint8)
IMAGES[0] = 0


def card_with(card, layers):
    """Card and weights: a card like `card` for other layers, weights of noise; half of IMAGES are above each limit."""
    rng = np.random.default_rng(1)

    def noise(leaf):
        spread = math.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim > 1 else 0.1
        return rng.normal(0, spread, leaf.shape).astype(np.float32)

    params = jax.tree.map(noise, abstract_params(layers, inference_form()))
    head = rng.normal(0, 0.2, (count_features(layers) + READ + 2, HIDDEN)).astype(np.float16)
    novelty = card.trust.novelty
    detector = Detector(novelty.detector.whitening, novelty.detector.means, head.astype(np.float32))
    temperature = card.calibration.temperature
    network = CompiledNetwork(layers, params, temperature=temperature, detector=detector, row_sizes=[len(IMAGES)])
    columns = network.columns(IMAGES)
    certainty, limit = (float(np.median(columns[:, column])) for column in (CERTAINTY, NOVELTY))
    trust = msgspec.structs.replace(
        card.trust,
        novelty=Novelty.of(detector, limit, novelty.refused),
        rejection=msgspec.structs.replace(card.trust.rejection, certainty=certainty),
    )
    golden = cards.golden(IMAGES, columns)
    return msgspec.structs.replace(card, layers=layers, trust=trust, golden=golden), params
