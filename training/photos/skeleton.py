"""The skeleton: the middle lines of strokes, one pixel wide.

Zhang & Suen 1984, A fast parallel algorithm for thinning digital patterns.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The eight neighbours, rows and columns, clockwise from above: the bits of a code, lowest first."""


def skeleton(strokes: Mask) -> Mask:
    """Strokes bool [h, w] thinned to lines that are connected as the strokes are."""
    found = np.pad(strokes, 1)
    inner = found[1:-1, 1:-1]
    height, width = strokes.shape
    changed = True
    while changed:
        changed = False
        for goes in _tables():
            code = np.zeros(strokes.shape, np.uint8)
            for bit, (row, column) in enumerate(AROUND):
                neighbour = found[1 + row : 1 + row + height, 1 + column : 1 + column + width]
                code |= neighbour.view(np.uint8) << np.uint8(bit)
            outermost = inner & goes[code]
            changed |= bool(outermost.any())
            inner &= ~outermost
    return inner


@cache
def _tables() -> tuple[Mask, Mask]:
    """For each of the two turns, and each code of neighbours, bool [256]: whether the pixel in their middle goes."""
    codes = np.arange(256)
    near = (codes[:, None] >> np.arange(8)) & 1  # [256, 8]
    above, right, below, left = near[:, 0], near[:, 2], near[:, 4], near[:, 6]
    ends = ((near == 0) & (np.roll(near, -1, axis=1) == 1)).sum(axis=1)
    count = near.sum(axis=1)
    outline = (count >= 2) & (count <= 6) & (ends == 1)
    return (
        outline & (above * right * below == 0) & (right * below * left == 0),
        outline & (above * right * left == 0) & (above * below * left == 0),
    )
