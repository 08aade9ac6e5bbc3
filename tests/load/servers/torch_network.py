"""The network in PyTorch, for the frameworks: a function from pixels to probabilities."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait take the server's processor

import torch
from torch import nn

from tests.load.servers.network import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from tests.load.servers.network import Layer


class TorchNetwork:
    """Probabilities float32 [n, 10] for pixels uint8 [n, 784], computed with so many threads.

    Convolutions have channels last in memory, which takes them half the time that they need otherwise.
    """

    def __init__(self, path: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._network = nn.Sequential(*_modules(read(path))).eval().to(memory_format=torch.channels_last)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            images = torch.tensor(pixels).view(-1, 1, 28, 28).float().div_(255)
            return self._network(images).softmax(dim=1).numpy()


def _modules(layers: list[Layer]) -> Iterator[nn.Module]:
    for layer in layers:
        match layer.kind:
            case "conv":
                out, inner, *_ = layer.kernel.shape
                yield _with_weights(nn.Conv2d(inner, out, layer.size, layer.stride), layer)
            case "dense":
                yield _with_weights(nn.Linear(*reversed(layer.kernel.shape)), layer)
            case "max_pool":
                yield nn.MaxPool2d(layer.size)
            case "flatten":
                yield nn.Flatten()
        if layer.relu:
            yield nn.ReLU(inplace=True)


def _with_weights(module: nn.Conv2d | nn.Linear, layer: Layer) -> nn.Conv2d | nn.Linear:
    module.load_state_dict({"weight": torch.from_numpy(layer.kernel), "bias": torch.from_numpy(layer.bias)})
    return module
