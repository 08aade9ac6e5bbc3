"""Canvases: pictures while they are made, the colours put on them, and the random numbers they are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Random = np.random.Generator
    Field = NDArray[np.float32]
    """A number for each pixel, float32 [h, w]."""
    Scene = NDArray[np.float32]
    """Red, green and blue, float32 [3, h, w], 1 is white; light may exceed 1 until the camera clips it."""
    Size = tuple[int, int]
    """Height and width in pixels."""
    Range = tuple[float, float]
    """The lowest and the highest of a number drawn evenly."""
    Colour = tuple[float, float, float]
    Surface = Callable[[Size, Random], Scene]
    """Makes what is written on."""
    Layer = Callable[[Scene, Random], Scene]
    """Changes a scene: light on it, things before it, what it lies on."""

Option = TypeVar("Option")


def between(random: Random, limits: Range) -> float:
    """A number drawn evenly from a range."""
    return float(random.uniform(*limits))


def pick(random: Random, options: Sequence[Option]) -> Option:
    """One of the options, each as likely."""
    return options[int(random.integers(len(options)))]


def happens(random: Random, chance: float) -> bool:
    """True with a chance in 0…1."""
    return bool(random.random() < chance)


def size_of(canvas: Field | Scene) -> Size:
    """Height and width in pixels."""
    return canvas.shape[-2], canvas.shape[-1]


def centred(size: Size) -> tuple[Field, Field]:
    """Rows float32 [h, 1] and columns float32 [1, w], in pixels from the middle."""
    height, width = size
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(height / 2)
    columns = np.arange(width, dtype=np.float32)[None] - np.float32(width / 2)
    return rows, columns


def channels(colour: Colour) -> Field:
    """A colour float32 [3, 1, 1]."""
    return np.array(colour, np.float32)[:, None, None]


def tinted(field: Field, colour: Colour) -> Scene:
    """A scene of one colour, brighter and darker by a field."""
    return field * channels(colour)  # [3, h, w]


def absorbed(scene: Scene, coverage: Field, colour: Colour) -> Scene:
    """The scene under transparent ink: where the coverage is 1 it takes all light but the colour's share."""
    return scene * (1 - coverage * (1 - channels(colour)))


def covered(scene: Scene, coverage: Field, colour: Colour | Scene) -> Scene:
    """The scene behind something opaque where the coverage is 1: a colour, or another scene."""
    return scene + coverage * ((channels(colour) if isinstance(colour, tuple) else colour) - scene)


def lit(scene: Scene, light: Field) -> Scene:
    """The scene in a light that differs from pixel to pixel."""
    return scene * light


def to_image(scene: Scene) -> Image.Image:
    """The scene in 256 levels of each colour, clipped at white."""
    levels = (np.clip(scene, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(channel) for channel in levels])


def to_scene(image: Image.Image) -> Scene:
    """A picture in RGB as a scene."""
    return np.stack([to_field(channel) for channel in image.split()])


def to_field(image: Image.Image) -> Field:
    """A picture in grey levels as a field in 0…1."""
    return np.asarray(image, np.float32) / np.float32(255)
