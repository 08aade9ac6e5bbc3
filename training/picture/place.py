"""Ink placed as NIST's digits were for MNIST: uint8 [28, 28], 255 is ink.

LeCun, Bottou, Bengio & Haffner (1998), "Gradient-based learning applied to document recognition", section III-A: the
ink, aspect kept, fills 20 x 20, and its centre of mass is in the middle of 28 x 28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from scipy import ndimage

from training.images import FULL_INK, SIDE
from training.picture.levels import NoInk

if TYPE_CHECKING:
    from training.images import Images
    from training.picture.levels import Levels

FIT: Final = 20
"""The side of the square that MNIST's digits fill."""
MIDDLE: Final = SIDE // 2
"""The row and the column where MNIST has the centre of mass, to the nearest pixel."""
BOX_LEVEL: Final = 0.3
"""Pixels with at least this share of full ink belong to the bounding box of the digit."""
SQUARE, SOLID = 0.6, 0.77
"""A bounding box that is nearly square, and filled to more than the second share, holds a blot: a disc fills π/4 of it,
and the 14,951 digits with such a box among MNIST's first 20,000 training images at most 0.764."""
THIN, THIN_PEN = 1.0, 1.6
"""Strokes thinner than the first number, in pixels of 28 x 28, are made as wide as the second."""


def thickened(ink: Levels) -> Levels:
    """Ink with strokes of at least a thin pen's width, relative to the 20 x 20 that it will fill."""
    rows, columns = _box(ink)
    unit = max(rows[1] - rows[0], columns[1] - columns[0]) / FIT
    drawn = np.pad(ink > 0.5, 1)
    if not drawn.any():
        return ink
    outline = np.pi / 4 * sum(np.count_nonzero(np.diff(drawn, axis=axis)) for axis in (0, 1))  # lines of all directions
    width = 2 * drawn.sum() / outline / unit
    if width >= THIN:
        return ink
    radius = (THIN_PEN - width) / 2 * unit
    wide = np.pad(ink, int(np.ceil(radius)) + 1)
    away = ndimage.distance_transform_edt(wide <= 0.5)
    return np.maximum(wide, np.clip(radius + 1 - away, 0, 1)).astype(np.float32)


def solid(ink: Levels) -> bool:
    """Whether the ink is one blot, such as a dot, a disc or a square, and no strokes."""
    if ink.max() < BOX_LEVEL:
        return True
    rows, columns = _box(ink)
    box = ink[slice(*rows), slice(*columns)]
    return bool(min(box.shape) > SQUARE * max(box.shape) and (box > 0.5).mean() > SOLID)


def fitted(ink: Levels) -> Images:
    """The picture uint8 [28, 28]: ink, scaled into 20 x 20 by area, its centre of mass in the middle."""
    rows, columns = _box(ink)
    unit = max(rows[1] - rows[0], columns[1] - columns[0]) / FIT
    room = int(np.ceil(SIDE * unit)) + 1
    margin = int(np.ceil(4 * unit))
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    near = np.pad(ink[top : rows[1] + margin, left : columns[1] + margin], room)
    x, y = room + columns[0] - left - 4 * unit, room + rows[0] - top - 4 * unit
    kind = Image.Resampling.BOX if unit >= 1 else Image.Resampling.BICUBIC
    window = (x, y, x + SIDE * unit, y + SIDE * unit)
    small = np.clip(np.asarray(Image.fromarray(near).resize((SIDE, SIDE), kind, window)), 0, 1)  # [28, 28]
    small = small / small.max()
    for axis, (first, last) in enumerate((rows, columns)):
        centre = np.arange(SIDE) @ small.sum(1 - axis) / small.sum()
        spare = SIDE - int(np.ceil((last - first) / unit))
        shift = int(np.clip(np.rint(MIDDLE - centre), -4, spare - 4))
        small = np.roll(small, shift, axis)
    return np.rint(small * FULL_INK).astype(np.uint8)


def _box(ink: Levels) -> tuple[tuple[int, int], tuple[int, int]]:
    """The bounding box of the ink: rows and columns, each as (first, last + 1)."""
    there = ink >= BOX_LEVEL
    if not there.any():
        raise NoInk("black")
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
