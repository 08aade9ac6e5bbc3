"""The champion of a model in a form that other libraries load, and the digits that it sees in some pictures."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from training import mnist
from training.errors import DigitsError
from training.export.file import export as export_version
from training.network.layers import INPUT, Conv, Dense, Dropout, Flatten, Layer, MaxPool, kind, shapes
from training.network.module import name
from training.predictor import Predictor
from training.store import CHAMPION, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from training.network.layers import Layers, Shape
    from training.network.module import Params

MOST_ROWS = 256
"""Pictures that questions are made of."""


@dataclass(frozen=True)
class Champion:
    """A version that every contestant serves."""

    store: str
    model: str
    version: int
    network: Path
    """Its layers and weights, as tests/load/servers/network.py reads them; beside it as ONNX, with the ending .onnx."""
    pictures: NDArray[np.uint8]
    """uint8 [256, 784], of the training images."""
    digits: list[int]
    """What the predictor sees in each of them."""


@contextmanager
def champion_of(store: str, model: str) -> Iterator[Champion]:
    """The champion, exported into a folder that goes away. Raises DigitsError when there is none."""
    opened = Store(store)
    if not opened.has_champion(model):
        raise DigitsError(
            f"the store {store} has no champion of {model} to measure with; "
            f"to train and publish one: python -m training fit {model} --quick --store {store}"
        )
    images = mnist.train().images[:MOST_ROWS]
    predictor = Predictor.load(opened, model)
    digits = predictor(images).argmax(axis=1).tolist()
    card, params = opened.load(model, CHAMPION)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.npz"
        export(network, card.layers, params, card.calibration.temperature)
        export_version(opened, model, predictor.version, "onnx", network.with_suffix(".onnx"))
        pictures = images.reshape(len(images), -1)
        yield Champion(store, model, predictor.version, network, pictures, digits)


def export(path: Path, layers: Layers, params: Params, temperature: float) -> None:
    """Writes a network with channels first: convolutions [out, in, h, w], dense layers [out, in], picture [1, 28, 28].

    The last layer's weights are divided by the temperature, so that softmax gives calibrated probabilities. Raises
    DigitsError for layers that the benchmark does not know.
    """
    described: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[np.float32]] = {}
    flattened: Shape = ()
    for place, (layer, before) in enumerate(zip(layers, [INPUT, *shapes(layers)], strict=False)):
        if isinstance(layer, Dropout):
            continue
        _check(layer)
        if isinstance(layer, Flatten):
            flattened = before
        if isinstance(layer, Conv | Dense):
            weights = {key: np.asarray(array) for key, array in params[name(place, layer)].items()}
            kernel = weights["kernel"].transpose(3, 2, 0, 1) if isinstance(layer, Conv) else weights["kernel"].T
            if flattened:
                kernel, flattened = _channels_first(kernel, flattened), ()
            scale = np.float32(temperature if place == len(layers) - 1 else 1)
            arrays[f"{len(described)}.kernel"] = np.ascontiguousarray(kernel / scale, np.float32)
            arrays[f"{len(described)}.bias"] = np.asarray(weights["bias"] / scale, np.float32)
        described.append(msgspec.to_builtins(layer))
    np.savez(path, layers=msgspec.json.encode(described).decode(), **arrays)


def _channels_first(kernel: NDArray[np.float32], flattened: Shape) -> NDArray[np.float32]:
    """A kernel [out, h * w * c] for values that were flattened as [c, h, w]."""
    return kernel.reshape(-1, *flattened).transpose(0, 3, 1, 2).reshape(len(kernel), -1)


def _check(layer: Layer) -> None:
    known = isinstance(layer, Conv | Dense | MaxPool | Flatten)
    plain = getattr(layer, "activation", None) in (None, "relu") and getattr(layer, "padding", "valid") == "valid"
    if not (known and plain):
        raise DigitsError(
            f"a {kind(layer)} layer cannot be measured: {layer}; the benchmark knows conv (valid), max_pool, flatten, "
            "dense and dropout, with relu or no activation"
        )
