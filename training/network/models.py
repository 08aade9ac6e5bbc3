"""The built-in networks by name. A new network needs no code: `--layers my_net.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool

if TYPE_CHECKING:
    from training.network.layers import Layers

# Their recipes distort the training images, which leaves little for dropout to improve (LOG.md): where dropout does not
# help, its rate is 0 unless `--dropout` sets it.
MODELS: dict[str, Layers] = {
    "mlp": (
        Flatten(),
        Dense(200, activation="relu"),
        Dropout(0.0),
        Dense(10),
    ),
    "mlp_deep": (
        Flatten(),
        Dense(500, activation="relu"),
        Dropout(0.1),
        Dense(300, activation="relu"),
        Dropout(0.1),
        Dense(10),
    ),
    # LeCun et al. 1998, with the sizes of the article that digits starts from
    "lenet": (
        Conv(32, kernel=5, activation="relu"),
        MaxPool(2),
        Conv(32, kernel=3, activation="relu"),
        MaxPool(2),
        Flatten(),
        Dense(100, activation="relu"),
        Dropout(0.0),
        Dense(10),
    ),
}
"""Weights: mlp 159,010, mlp_deep 545,810, lenet 91,190."""
