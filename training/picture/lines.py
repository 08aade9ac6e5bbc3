"""Long thin straight lines: ruled and squared paper, frames, boxes of forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

LONG: Final = 0.4
"""A line is at least as long as this share of the picture's side."""
STRAIGHT: Final = 0.07
"""It has unbroken runs of at least this share of the side."""
THIN: Final = 0.022
"""It is at most as wide as this share of the shorter side."""
SLANT: Final = 0.12
"""It rises by at most this share of its length."""


def long_lines(mask: Mask) -> Mask:
    """The pixels of `mask` [h, w] in long thin lines, nearly horizontal or vertical, without strokes across them."""
    along, across = run_lengths(mask), run_lengths(mask.T).T
    thick = max(round(THIN * min(mask.shape)), 2)
    return _horizontal(mask & (across <= thick), thick) | _horizontal((mask & (along <= thick)).T, thick).T


def _horizontal(thin: Mask, thick: int) -> Mask:
    """The pixels of `thin`, in which no column has long runs, that make long lines from left to right."""
    width = thin.shape[1]
    tall = thin.copy()  # a slanting line goes on in the next row
    tall[1:] |= thin[:-1]
    tall[:-1] |= thin[1:]
    runs = thin & (run_lengths(tall) >= max(round(STRAIGHT * width), 5))
    long = np.zeros_like(runs)
    if np.count_nonzero(runs.any(axis=0)) < LONG * width:
        return long
    gap = max(round(2 * STRAIGHT * width), 3)
    joined = ndimage.maximum_filter1d(runs.view(np.uint8), gap, axis=1)  # over the strokes across it
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        length = columns.stop - columns.start
        if length >= LONG * width + gap and rows.stop - rows.start <= SLANT * length + thick:
            long[rows, columns] |= runs[rows, columns] & (labels[rows, columns] == number)
    return long


def run_lengths(mask: Mask) -> NDArray[np.int64]:
    """For each pixel of `mask` [h, w] the number of pixels of its unbroken run along the row; 0 outside."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel())
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    lengths = np.zeros(padded.size, np.int64)
    inside = np.repeat(stops - starts, stops - starts)
    lengths[np.flatnonzero(padded.ravel())] = inside
    return lengths.reshape(padded.shape)[:, 1:-1]
