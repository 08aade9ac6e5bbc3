"""Glare: light so bright that the ink below it disappears, as on a whiteboard under a lamp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from training.picture.find import Candidate

CLIPPED: Final = 248
"""Paper that is brighter is white to a camera."""
INSIDE, OUTSIDE = 0.03, 0.1
"""Shares of a digit's ink that at least are on white paper and on other paper: else the light is even."""
FADED: Final = 0.65
"""Under glare, ink has less than this share of its darkness elsewhere: more of it may be unseen (LOG.md)."""


def washed_out(found: Candidate) -> bool:
    """Whether glare on a part of a digit's dark strokes has bleached them."""
    view, parts = found.view, found.view.parts
    if view.ink == "white" or not isinstance(view.paper, np.ndarray):
        return False
    box = parts.around(found.group)
    ink = parts.mask(found.group)[box]
    white = ndimage.maximum_filter(view.paper[box] >= CLIPPED, max(round(parts.pen(found.group)), 1))
    inside, outside = ink & white, ink & ~white
    if inside.sum() < INSIDE * ink.sum() or outside.sum() < OUTSIDE * ink.sum():
        return False
    dark = view.dark[box]
    return bool(dark[inside].mean() < FADED * dark[outside].mean())
