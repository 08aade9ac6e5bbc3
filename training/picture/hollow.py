"""Hollow ink: what is left of a solid area when the search for paper takes its inside for paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from training.picture.view import negative

if TYPE_CHECKING:
    from training.picture.find import Candidate
    from training.picture.levels import Levels

REACH: Final = 5
"""The side, in pixels, of the square in which grey levels change from ink to paper."""
SHARP: Final = 0.75
"""Quantile of the changes at an outline that stands for ink on paper: less than three quarters of it are missing."""
FLAT: Final = 0.2
"""A change of less than this share of it is none: ink goes on beyond the outline."""
HOLLOW: Final = 0.12
"""Strokes have no ink beyond less than this share of their outline (LOG.md)."""


def hollow(found: Candidate, grey: Levels) -> bool:
    """Whether the digit in grey levels [h, w] is the rim of an area of ink that is wider than the view's window."""
    view, parts = found.view, found.view.parts
    if not view.window:
        return False
    top, bottom, left, right = parts.box(found.group).astype(int)
    near = slice(max(top - REACH, 0), bottom + REACH), slice(max(left - REACH, 0), right + REACH)
    seen, ink = negative(grey[near], view.ink), parts.mask(found.group)[near]
    outline = ink & ~ndimage.binary_erosion(ink, np.ones((3, 3)), border_value=1)
    change = (ndimage.maximum_filter(seen, REACH) - ndimage.minimum_filter(seen, REACH))[outline]
    return bool(np.mean(change < FLAT * np.quantile(change, SHARP)) > HOLLOW)
