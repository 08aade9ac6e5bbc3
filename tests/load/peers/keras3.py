"""Keras 3: `model.fit` over arrays in memory. Its second argument is the backend, jax or torch.

Both compete, for neither is the faster one everywhere: JAX is for dense layers and PyTorch for convolutions, whose
gradients XLA computes slowly on CPU. Each has what makes it faster: its own order of axes, and on JAX several steps
between two callbacks.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

BACKEND = sys.argv[2]
os.environ["KERAS_BACKEND"] = BACKEND

import keras  # noqa: E402 - it reads its backend from the environment
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

from tests.load.peers.contender import BATCH, DROPOUT, LEARNING_RATE, WEIGHT_DECAY, compete, ink  # noqa: E402

if TYPE_CHECKING:
    from tests.load.peers.contender import Epoch

NAMES = {"jax": "JAX", "torch": "PyTorch"}
CHANNELS = 1 if BACKEND == "torch" else -1
"""The axis of channels: where the backend's own convolutions want it."""
STEPS_PER_EXECUTION = 1 if BACKEND == "torch" else 10
"""PyTorch allows but one."""

NETWORKS = {
    "lenet": lambda: [
        layers.Conv2D(32, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(100, activation="relu"),
        layers.Dropout(DROPOUT),
        layers.Dense(10),
    ],
    "mlp_deep": lambda: [
        layers.Flatten(),
        layers.Dense(500, activation="relu"),
        layers.Dropout(DROPOUT),
        layers.Dense(300, activation="relu"),
        layers.Dropout(DROPOUT),
        layers.Dense(10),
    ],
    "mlp": lambda: [layers.Flatten(), layers.Dense(200, activation="relu"), layers.Dropout(DROPOUT), layers.Dense(10)],
}


def main() -> None:
    """Competes."""
    keras.config.set_image_data_format("channels_first" if CHANNELS == 1 else "channels_last")
    pixels, labels = ink()
    images = np.expand_dims(pixels, CHANNELS)

    def epoch_of(network: str) -> Epoch:
        model = keras.Sequential([keras.Input(images.shape[1:]), *NETWORKS[network]()])
        model.compile(
            optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=STEPS_PER_EXECUTION,
        )
        return partial(model.fit, images, labels, batch_size=BATCH, epochs=1, verbose=0)

    compete(
        f"Keras {keras.__version__} on {NAMES[BACKEND]} {metadata.version(BACKEND).split('+')[0]}", NETWORKS, epoch_of
    )


if __name__ == "__main__":
    main()
