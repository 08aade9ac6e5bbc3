"""Glare: light so bright that the ink below it disappears, as on a whiteboard under a lamp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from training.picture.find import Candidate

CLIPPED, PAPER = 248, 235
"""Grey levels above the first one are white to a camera; paper below the second one is not."""
BESIDE: Final = (0.05, 0.1)
"""Around a digit there is at least such a share of glare, and of paper that is not white: else the paper is white."""
FADED: Final = 0.68
"""Under glare the faintest tenth of a digit's strokes has less than this share of their median darkness: what fades
may go on unseen. LOG.md has what that refuses."""


def washed_out(found: Candidate) -> bool:
    """Whether glare beside a digit's dark strokes has bleached them."""
    view, parts = found.view, found.view.parts
    if view.ink == "white" or not isinstance(view.paper, np.ndarray):
        return False
    pen = parts.pen(found.group)
    margin = max(round(pen), 2)
    top, bottom, left, right = parts.box(found.group).astype(int)
    around = slice(max(top - margin, 0), bottom + margin), slice(max(left - margin, 0), right + margin)
    mine = np.isin(parts.labels[around], np.array(found.group) + 1)
    beside = ndimage.binary_dilation(mine, iterations=margin) & ~mine
    paper = view.paper[around][beside]
    if (paper >= CLIPPED).mean() < BESIDE[0] or (paper < PAPER).mean() < BESIDE[1]:
        return False
    inside = ndimage.binary_erosion(mine)
    faintest, median = np.quantile(view.dark[around][inside if inside.any() else mine], [0.1, 0.5])
    return bool(faintest < FADED * median)
