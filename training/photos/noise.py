"""Noise: random fields, from clouds to grain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from training.photos.canvas import Field, Random, Size


CREASED_PX: Final = 200


def smooth(size: Size, cells: float, random: Random, stretch: float = 1.0) -> Field:
    """Smooth noise float32 [h, w] of mean 0 and about unit variance, with `cells` bumps along the longer side.

    Bumps are `stretch` times as wide as they are high.
    """
    height, width = size
    unit = max(size) / cells
    rows, columns = height / unit, width / (unit * stretch)
    small = random.standard_normal((math.ceil(rows) + 4, math.ceil(columns) + 4), np.float32)
    window = (2, 2, 2 + columns, 2 + rows)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC, window))


def fractal(size: Size, cells: float, random: Random, octaves: int = 5, stretch: float = 1.0) -> Field:
    """Noise float32 [h, w] with bumps of all sizes, each octave half as high as the one before."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        total += smooth(size, cells * 2**octave, random, stretch) * np.float32(0.5**octave)
    return total


def creases(size: Size, count: int, random: Random) -> Field:
    """Slopes float32 [h, w] of crumpled paper, about -2…2: each crease is a step, sharpest in its middle.

    Computed with a longer side of CREASED_PX pixels.
    """
    factor = max(size) / CREASED_PX
    small = math.ceil(size[0] / factor), math.ceil(size[1] / factor)
    y, x = (np.arange(side, dtype=np.float32) / CREASED_PX for side in small)
    bend = np.float32(0.02) * smooth(small, 6, random)
    slope = np.float32(0.35) * smooth(small, 4, random)
    for _ in range(count):
        middle = random.uniform(0, 1, 2) * small / CREASED_PX
        down, across = y[:, None] - np.float32(middle[0]), x[None] - np.float32(middle[1])
        angle, light = random.uniform(0, 2 * np.pi, 2)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        beside, along = down * cos - across * sin + bend, across * cos + down * sin
        length, reach = np.float32(random.uniform(0.12, 0.45)), np.float32(random.uniform(0.06, 0.25))
        fading = np.exp(-((along / length) ** 2) - np.abs(beside) / reach)
        sharp = np.float32(random.uniform(0.003, 0.012))
        slope += np.float32(1.3 * np.sin(light)) * fading * beside / (np.abs(beside) + sharp)
    return np.asarray(Image.fromarray(slope).resize(size[::-1], Image.Resampling.BICUBIC))
