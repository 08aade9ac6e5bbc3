"""A network is a list of layers: data, not code.

The same list is what a user writes (TOML or JSON), what the card of a checkpoint stores, and what the service rebuilds.
This file knows the kinds of layers, the shape each one gives, and how to read a list from a file; it needs no JAX.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec

from training.errors import DigitsError
from training.images import CLASSES, SIDE
from training.typed_file import read_typed

if TYPE_CHECKING:
    from pathlib import Path

Activation = Literal["relu", "gelu", "silu", "tanh"]
Shape = tuple[int, ...]
"""The shape of one image's activations, without the batch axis: (height, width, channels) or (features,)."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Axes = Annotated[tuple[Positive, ...], msgspec.Meta(max_length=8)]
Rate = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class LayerError(DigitsError, ValueError):
    """A list of layers that is not a network; the message names the layer by its place and kind."""


class _Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    def shape(self, before: Shape) -> Shape:
        """The shape after this layer. Raises ValueError when `before` does not fit."""
        raise NotImplementedError

    def weights(self, before: Shape) -> int:  # noqa: ARG002 - most kinds have none
        """How many trainable numbers this layer holds."""
        return 0


class Conv(_Layer, frozen=True, tag="conv"):
    """A two-dimensional convolution with bias: [h, w, c] -> [h', w', features]."""

    features: Positive
    kernel: Positive
    stride: Positive = 1
    padding: Literal["valid", "same"] = "valid"
    activation: Activation | None = None

    def shape(self, before: Shape) -> Shape:
        height, width, _ = _picture(before)
        sides = tuple(_windows(side, self.kernel, self.stride, self.padding) for side in (height, width))
        return (*sides, self.features)

    def weights(self, before: Shape) -> int:
        return (self.kernel**2 * before[-1] + 1) * self.features


class MaxPool(_Layer, frozen=True, tag="max_pool"):
    """The largest value of each size x size window, windows side by side: [h, w, c] -> [h / size, w / size, c]."""

    size: Positive = 2

    def shape(self, before: Shape) -> Shape:
        height, width, channels = _picture(before)
        return (
            _windows(height, self.size, self.size, "valid"),
            _windows(width, self.size, self.size, "valid"),
            channels,
        )


class Dense(_Layer, frozen=True, tag="dense"):
    """A fully connected layer with bias: [f] -> [features]."""

    features: Positive
    activation: Activation | None = None

    def shape(self, before: Shape) -> Shape:
        if len(before) != 1:
            raise ValueError(f"gets {_say(before)}, wants one axis: put a flatten layer before it")
        return (self.features,)

    def weights(self, before: Shape) -> int:
        return (before[0] + 1) * self.features


class Dropout(_Layer, frozen=True, tag="dropout"):
    """While training, each value is zeroed with probability `rate` (Srivastava et al. 2014); otherwise nothing."""

    rate: Rate

    def shape(self, before: Shape) -> Shape:
        return before


class Flatten(_Layer, frozen=True, tag="flatten"):
    """All values of an image in one row: [h, w, c] -> [h * w * c]."""

    def shape(self, before: Shape) -> Shape:
        return (math.prod(before),)


class Reshape(_Layer, frozen=True, tag="reshape"):
    """The same values in another shape, row by row."""

    to: Axes

    def shape(self, before: Shape) -> Shape:
        if math.prod(self.to) != math.prod(before):
            raise ValueError(
                f"gets {_say(before)}, {math.prod(before)} values, wants {math.prod(self.to)} for {_say(self.to)}"
            )
        return self.to


class Input(_Layer, frozen=True, tag="input"):
    """What a network reads and how many classes it tells apart, when these are not pictures of the ten digits.

    It can only come first. Only estimators have it: networks in files and in the store always read digits.
    """

    axes: Axes
    """[28, 28, 1] for pictures; [features] for the rows of a table, float32, taken as they are."""
    classes: Positive

    def shape(self, before: Shape) -> Shape:  # noqa: ARG002 - nothing comes before it
        return self.axes


Inner = Conv | MaxPool | Dense | Dropout | Flatten | Reshape
Layer = Inner | Input
Layers = tuple[Layer, ...]

INPUT: Shape = (SIDE, SIDE, 1)
MOST_LAYERS = 200
"""More take minutes to compile."""
MOST_VALUES = 1_000_000
"""Of one image after a layer: a batch of 256 with more would take more than a gigabyte."""
MOST_WEIGHTS = 200_000_000
"""More would not fit into the memory that a training step on them needs; a typing error, most likely."""
MOST_FEATURES = 1000
"""Of more, a head that reads them would take as long as the network."""


def shapes(layers: Layers) -> list[Shape]:
    """The shape after each layer, for an input of 28 x 28 x 1 unless the first layer is an Input that says otherwise.

    Raises LayerError for too many layers, values or weights, and, naming the layer, where a layer does not fit the one
    before it or the last gives no 10 logits (or one for each of the Input's classes). An Input is not counted: it is
    not in the user's list.
    """
    first = layers[0] if layers and isinstance(layers[0], Input) else None
    if len(layers) > MOST_LAYERS:
        raise LayerError(f"the network has {len(layers):,} layers, want at most {MOST_LAYERS:,}")
    if not layers[bool(first) :]:
        raise LayerError("the network has no layers, wants at least one")
    found: list[Shape] = []
    before = INPUT
    for place, layer in enumerate(layers, start=-bool(first)):
        try:
            before = layer.shape(before)
        except ValueError as error:
            raise LayerError(f"layers[{place}] ({kind(layer)}) {error}") from None
        if math.prod(before) > MOST_VALUES:
            raise LayerError(
                f"layers[{place}] ({kind(layer)}) gives {_say(before)}, {math.prod(before):,} values of an image, "
                f"want at most {MOST_VALUES:,}"
            )
        found.append(before)
    logits, each = ((first.classes,), "class") if first else ((CLASSES,), "digit")
    if before != logits:
        end = f"layers[{place}] ({kind(layers[-1])})"
        raise LayerError(f"{end} gives {_say(before)}, the last layer must give {_say(logits)}: one logit a {each}")
    if (weights := _weights(layers, found)) > MOST_WEIGHTS:
        raise LayerError(f"the network has {weights:,} weights, want at most {MOST_WEIGHTS:,}")
    return found


def count_weights(layers: Layers) -> int:
    """How many trainable numbers the network holds. Raises LayerError as `shapes` does."""
    return _weights(layers, shapes(layers))


def feature_place(layers: Layers) -> int | None:
    """The place of the first dense layer behind another layer with weights: its input are the network's features.

    None for a network without such a layer, and for more than MOST_FEATURES values.
    """
    weighty = [place for place, layer in enumerate(layers) if isinstance(layer, Conv | Dense)]
    place = next((place for place in weighty[1:] if isinstance(layers[place], Dense)), None)
    return None if place is None or _features(layers, place) > MOST_FEATURES else place


def count_features(layers: Layers) -> int:
    """Number of features: values that the layer at `feature_place` reads, or pixels of a picture of half the size."""
    place = feature_place(layers)
    return (SIDE // 2) ** 2 if place is None else _features(layers, place)


def with_dropout(layers: Layers, rate: float) -> Layers:
    """The same network with every dropout layer at `rate`. Raises LayerError when it has none to set."""
    if not any(isinstance(layer, Dropout) for layer in layers):
        raise LayerError("the network has no dropout layer whose rate could be set: add one to its list")
    return tuple(Dropout(rate) if isinstance(layer, Dropout) else layer for layer in layers)


def kind(layer: Layer) -> str:
    """The name of a layer's kind as a list writes it, such as `max_pool`."""
    return str(layer.__struct_config__.tag)


class LayerFile(msgspec.Struct, forbid_unknown_fields=True):
    """A file with a user's own network: `layers` is the list."""

    layers: tuple[Inner, ...]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """A checked list of layers from a .toml or .json file. Raises LayerError naming the file and the layer."""
        file = read_typed(path, cls, noun="list of layers", error=LayerError)
        try:
            shapes(file.layers)
        except LayerError as error:
            raise LayerError(f"{path}: {error}") from None
        return file


def _features(layers: Layers, place: int) -> int:
    return math.prod([INPUT, *shapes(layers)][place])


def _weights(layers: Layers, after: list[Shape]) -> int:
    return sum(layer.weights(before) for layer, before in zip(layers, [INPUT, *after], strict=False))


def _picture(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"gets {_say(shape)}, wants three axes [height, width, channels]")
    return shape[0], shape[1], shape[2]


def _windows(side: int, size: int, stride: int, padding: str) -> int:
    if padding == "same":
        return -(-side // stride)
    if size > side:
        raise ValueError(f"has a {size} x {size} window, larger than the {side} pixels it gets")
    return (side - size) // stride + 1


def _say(shape: Shape) -> str:
    return "[" + ", ".join(("n", *map(str, shape))) + "]"
