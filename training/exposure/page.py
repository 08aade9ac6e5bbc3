"""A page to draw on with ink, and its picture as digits are prepared: uint8 [28, 28]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from training.images import FULL_INK, SIDE
from training.picture import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.images import Images

PAGE: Final = 112
"""The side of a page in pixels; drawings stay within its middle half, or a little beyond."""


def blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty page, and what draws on it."""
    page = Image.new("L", (PAGE, PAGE))
    return page, ImageDraw.Draw(page)


def corners(points: NDArray[np.floating]) -> list[tuple[float, float]]:
    """Points [n, 2], x and y in -1…1, as Pillow wants them on a page."""
    return [(x, y) for x, y in (PAGE / 2 + PAGE / 4 * np.asarray(points)).tolist()]


def draw_lines(draw: ImageDraw.ImageDraw, lines: Sequence[NDArray[np.floating]], pen: int) -> None:
    """Draws polylines [n, 2], x and y in -1…1, with a round pen of so many pixels."""
    for line in lines:
        places = corners(line)
        draw.line(places, fill=255, width=pen, joint="curve")
        for x, y in (places[0], places[-1]):
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)


def pen_width(random: np.random.Generator) -> int:
    """The width of a pen in pixels of a page: from thin to thick ones in MNIST, and half of them thin, as on photos."""
    return int(random.integers(3, random.choice((7, 13))))


def prepared(ink: Image.Image | NDArray[np.floating]) -> Images:
    """A page, or ink float32 [h, w] in 0…1, as digits are prepared; without any ink it is blank."""
    levels = np.asarray(ink, np.float32)
    if isinstance(ink, Image.Image):
        levels = levels / np.float32(FULL_INK)
    return fitted(levels) if levels.max() >= 0.5 else np.zeros((SIDE, SIDE), np.uint8)
