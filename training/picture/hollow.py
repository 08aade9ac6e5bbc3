"""Hollow ink: what is left of a dark area when the search for paper takes a part of it for paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from training.picture.view import negative

if TYPE_CHECKING:
    from training.picture.levels import Levels
    from training.picture.view import View

REACH: Final = 5
"""The side, in pixels, of the square in which grey levels change from ink to paper."""
SHARP: Final = 0.75
"""Quantile of the changes at an outline that stands for ink on paper: less than three quarters of it are missing."""
FLAT: Final = 0.2
"""A change of less than this share of it is none: the dark area goes on beyond the outline."""


def hollow(view: View, group: list[int], grey: Levels) -> float:
    """The share, 0…1, of the outline of a group of a view's parts at which grey levels [h, w] do not change.

    0 for strokes, up to a half for the rim of an area that is wider than the view's window.
    """
    if not view.window:
        return 0.0
    near = view.parts.around(group, REACH)
    seen, ink = negative(grey[near], view.ink), view.parts.mask(group)[near]
    outline = ink & ~ndimage.binary_erosion(ink, np.ones((3, 3), bool), border_value=1)
    if not outline.any():
        return 0.0
    change = (ndimage.maximum_filter(seen, REACH) - ndimage.minimum_filter(seen, REACH))[outline]
    return float(np.mean(change < FLAT * np.quantile(change, SHARP)))
