"""The architecture of a network: the name, shape and weights of each layer, and a small drawing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from training.images import PIXELS
from training.network.layers import INPUT, Conv, Dense, Dropout, Flatten, Input, MaxPool, Reshape, shapes
from training.report.wording import percent
from training.report.wording import shape as said

if TYPE_CHECKING:
    from training.network.layers import Layer, Layers, Shape

BOX = 60.0
"""Drawings fit into a square of this side, in CSS pixels."""
SHEETS = 5
"""Maximum number of feature maps that are drawn behind each other."""


class Rectangle(NamedTuple):
    """In CSS pixels from the top left corner of the drawing."""

    x: float
    y: float
    width: float
    height: float


class Stage(NamedTuple):
    """A layer and its output. The first stage of a network is the picture itself."""

    title: str
    detail: str
    shape: Shape
    weights: int
    share: float
    """Share of all weights of the network, 0…1."""
    drawing: tuple[Rectangle, ...]


def stages(layers: Layers) -> list[Stage]:
    """The stages of a network, from picture to logits."""
    before = [INPUT, *shapes(layers)]
    weights = [layer.weights(shape) for layer, shape in zip(layers, before, strict=False)]
    total = max(1, sum(weights))
    found = [Stage("picture", "ink, 0 to 1", INPUT, 0, 0.0, draw(INPUT))]
    for layer, shape, count in zip(layers, before[1:], weights, strict=True):
        found.append(Stage(*words(layer), shape, count, count / total, draw(shape)))
    return found


def words(layer: Layer) -> tuple[str, str]:
    """The name and the parameters of a layer, in words."""
    match layer:
        case Conv():
            stride = "" if layer.stride == 1 else f", stride {layer.stride}"
            return f"convolution {said([layer.kernel] * 2)}{stride}", _and(layer.padding, layer.activation)
        case MaxPool():
            return f"max pool {said([layer.size] * 2)}", "keeps the largest"
        case Dense():
            return "dense", layer.activation or "linear"
        case Dropout():
            return "dropout", f"{percent(layer.rate, 0)} while training"
        case Flatten():
            return "flatten", "all in one row"
        case Reshape():
            return "reshape", "the same values"
        case Input():
            return "input", "as it is"


def draw(shape: Shape) -> tuple[Rectangle, ...]:
    """Feature maps as sheets behind each other, to scale; features as a column, its length on a logarithmic scale."""
    if len(shape) == 1:
        height = BOX * max(0.15, math.log(shape[0] + 1) / math.log(PIXELS + 1))
        return (Rectangle(BOX / 2 - 4, (BOX - min(height, BOX)) / 2, 8, min(height, BOX)),)
    height, width, channels = (*shape, 1, 1)[:3]
    sheets = min(channels, SHEETS)
    offset = 4.0
    room = BOX - offset * (SHEETS - 1)
    scale = room / max(INPUT[0], height, width)
    tall, wide = max(3.0, height * scale), max(3.0, width * scale)
    left, top = (BOX - wide - offset * (sheets - 1)) / 2, (BOX - tall - offset * (sheets - 1)) / 2
    return tuple(
        Rectangle(left + offset * (sheets - 1 - place), top + offset * place, wide, tall) for place in range(sheets)
    )


def _and(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
