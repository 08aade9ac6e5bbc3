"""Light and paper: the grey level that the paper would have without ink, and how much darker the ink is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.picture.levels import Ink, Levels

MOST, MUCH, MUCH_OF_BORDER = 0.5, 0.15, 0.4
"""Paper has a single level if this level has the first share of all pixels, or the second share of all and the third of
those at the border: a digit that is cut out closely leaves little paper."""
DARKEST: Final = 0.3
"""Share of the brightest paper's light below which darkness is not measured relative to the paper: shadows of a table
have texture, and no ink."""


def polarity(grey: Levels) -> Ink:
    """The colour of the ink: the median of the outermost pixels is paper, the grey level farthest from it is ink."""
    border = np.median(outermost(grey))
    return "black" if border - grey.min() >= grey.max() - border else "white"


def single_level(grey: Levels) -> float | None:
    """The grey level of the paper, if it is one: a drawing, no photograph."""
    levels, counts = np.unique(grey, return_counts=True)
    most = counts.argmax()
    level, share = float(levels[most]), counts[most] / grey.size
    drawing = share > MOST or (share > MUCH and (outermost(grey) == level).mean() > MUCH_OF_BORDER)
    return level if drawing else None


def outermost(grey: NDArray[Any]) -> NDArray[Any]:
    """The pixels at the border of a picture [h, w]."""
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def ground(grey: Levels, window: int) -> Levels:
    """The paper's grey level at each pixel, float32 [h, w], under dark strokes: a morphological closing.

    Dark areas of less than `window` pixels in one direction are strokes. The edges of larger ones, such as shadows,
    stay as they are (Serra 1982, Image analysis and mathematical morphology).
    """
    closed = ndimage.grey_closing(grey, (window, window), mode="nearest")
    return ndimage.uniform_filter(closed, 3, mode="nearest")


def brightness(paper: Levels | float) -> float:
    """The brightest paper's grey level, but for its brightest twentieth."""
    return float(np.percentile(paper, 95))


def darkness(grey: Levels, paper: Levels | float, brightest: float) -> Levels:
    """How much darker than the paper each pixel is, float32 [h, w] in 0…1, as a share of the paper's light."""
    return (np.maximum(paper - grey, 0) / np.maximum(paper, max(DARKEST * brightest, 1))).astype(np.float32)
