"""The ink of one digit, cut out of a picture at its full resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from scipy import ndimage

from training.picture.light import darkness
from training.picture.view import negative

if TYPE_CHECKING:
    from training.picture.levels import Levels
    from training.picture.view import View

FRINGE: Final = 2
"""Pixels around a part that belong to its soft outline."""


def around(view: View, group: list[int]) -> tuple[slice, slice]:
    """The rows and columns of a view that are cut out with a group of its parts."""
    return view.parts.around(group, FRINGE + 1)


def cut_out(grey: Levels, factor: int, view: View, group: list[int]) -> Levels:
    """Ink float32 [h, w] in 0…1 of a group of a view's parts alone, from a picture `factor` times as large."""
    parts = view.parts
    mine = parts.mask(group)
    allowed = ndimage.maximum_filter(mine.view(np.uint8), 2 * FRINGE + 1).view(bool)
    allowed &= ((parts.labels == 0) | mine) & ~view.lines
    rows, columns = around(view, group)
    near = allowed[rows, columns]
    if factor == 1:
        return _ink(view.dark[rows, columns], view) * near
    top, left = rows.start * factor, columns.start * factor
    large = negative(grey[top : rows.stop * factor, left : columns.stop * factor], view.ink)
    height, width = large.shape
    paper = view.paper
    if isinstance(paper, np.ndarray):
        size = near.shape[1] * factor, near.shape[0] * factor
        paper = np.asarray(Image.fromarray(paper[rows, columns]).resize(size, Image.Resampling.BILINEAR))
        paper = paper[:height, :width]
    fine = near.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
    return _ink(darkness(large, paper, view.brightest), view) * fine


def _ink(dark: Levels, view: View) -> Levels:
    return np.clip((dark - view.floor) / (view.full - view.floor), 0, 1).astype(np.float32)
