"""scikit-learn's MLPClassifier, an epoch at a time. It knows no dropout, which saves it time, and no convolutions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from tests.load.peers.contender import BATCH, LEARNING_RATE, compete, ink

if TYPE_CHECKING:
    from tests.load.peers.contender import Epoch

HIDDEN = {"mlp_deep": (500, 300), "mlp": (200,)}


def main() -> None:
    """Competes."""
    images, labels = ink()
    rows = images.reshape(len(images), -1)

    def epoch_of(network: str) -> Epoch:
        model = MLPClassifier(HIDDEN[network], solver="adam", batch_size=BATCH, learning_rate_init=LEARNING_RATE)
        return partial(model.partial_fit, rows, labels, classes=np.arange(10))  # one epoch, shuffled

    compete(f"scikit-learn {sklearn.__version__}, no dropout", HIDDEN, epoch_of)


if __name__ == "__main__":
    main()
