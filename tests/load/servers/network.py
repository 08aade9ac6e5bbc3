"""The network that all serve, from the file that tests/load/champion.py writes. Needs NumPy alone.

Channels come first: a picture is [1, 28, 28]. The network reads pixels / 255, and softmax of what it gives are
calibrated probabilities.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Layer(NamedTuple):
    """A layer: `kind` is conv, dense, max_pool or flatten, and `size` that of a window."""

    kind: str
    size: int
    stride: int
    relu: bool
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def read(path: str) -> list[Layer]:
    """The layers in their order, kernels [out, in, h, w] or [out, in]."""
    nothing = np.zeros(0, np.float32)
    with np.load(path) as file:
        return [
            Layer(
                kind=layer["kind"],
                size=layer.get("size", layer.get("kernel", 2)),
                stride=layer.get("stride", 1),
                relu=layer.get("activation") == "relu",
                kernel=file.get(f"{place}.kernel", nothing),
                bias=file.get(f"{place}.bias", nothing),
            )
            for place, layer in enumerate(json.loads(str(file["layers"])))
        ]
