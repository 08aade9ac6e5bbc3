"""Glyphs: letters, signs and printed digits from the fonts that come with matplotlib."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from training.photos.canvas import between, to_field
from training.photos.drawing import of_page, wobbled
from training.photos.pen import trimmed

if TYPE_CHECKING:
    from training.photos.canvas import Field, Random
    from training.photos.drawing import Drawing

SIGNS: Final = "+=?&%$#@*<>~^√∞≈≠±÷§¶€£←→↑↓↔"
"""Without brackets and others that look like 1."""
GREEK: Final = "αεηκλμνπχψωΓΔΛΞΠΣΥΨΩ"
"""Without letters that look like digits, such as theta and sigma."""
DRAWN_PX: Final = 96


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of matplotlib's by its file's name without the ending, `size` pixels high."""
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size)


def written(character: str, name: str, random: Random) -> Drawing:
    """A character of a font as somebody may write it: slanted, its lines unsteady."""
    page = Image.new("L", (3 * DRAWN_PX, 3 * DRAWN_PX))
    ImageDraw.Draw(page).text((DRAWN_PX, DRAWN_PX), character, fill=255, font=font(name, DRAWN_PX))
    return wobbled(of_page(page), random, between(random, (-0.1, 0.25)), between(random, (0.8, 2.5)))


def printed(text: str, name: str, height_px: float) -> Field:
    """A printed line: coverage float32 [h, w] in 0…1, capital letters and digits `height_px` high."""
    shape = font(name, max(round(height_px / 0.7), 8))
    left, top, right, bottom = shape.getbbox(text)
    page = Image.new("L", (max(round(right - left), 1), max(round(bottom - top), 1)))
    ImageDraw.Draw(page).text((-left, -top), text, fill=255, font=shape)
    return trimmed(to_field(page))
