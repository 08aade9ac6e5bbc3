"""digits as a contender, through the very function that trains it. With a second argument, pictures are distorted."""

from __future__ import annotations

import sys
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from tests.load.peers.contender import BATCH, DROPOUT, LEARNING_RATE, WEIGHT_DECAY, compete, pictures
from training.data.digits import Digits
from training.fitting.loop import before_first_epoch, fit
from training.network.layers import with_dropout
from training.network.models import MODELS
from training.recipe import RECIPES, Distortion, Recipe

if TYPE_CHECKING:
    from tests.load.peers.contender import Epoch

DISTORTED = len(sys.argv) > 2
ENDLESS = 1_000_000
NETWORKS = ("lenet", "mlp_deep", "mlp")


def main() -> None:
    """Competes."""
    digits = Digits(*pictures())

    def epoch_of(network: str) -> Epoch:
        layers = with_dropout(MODELS[network], DROPOUT)
        recipe = Recipe(
            epochs=ENDLESS,
            batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            schedule="constant",
            warmup_epochs=0,
            distortion=RECIPES[network].distortion if DISTORTED else Distortion(),
        )
        one_digit = digits.take([0])  # the others do not validate
        return partial(next, fit(layers, recipe, digits, one_digit, before_first_epoch(layers, recipe), _unwatched))

    name = f"digits {metadata.version('digits')} on JAX {metadata.version('jax')}"
    compete(f"{name}, with distortion" if DISTORTED else name, NETWORKS, epoch_of)


def _unwatched(**progress: object) -> None:
    """A `Watch` that does nothing."""


if __name__ == "__main__":
    main()
