"""The gallery: many digits in one picture, a grid with captions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from training.data.digits import DataError
from training.images import SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.data.digits import Digits

# The page brings its own background, so it reads the same inside a dark and a light document.
PAGE, TILE, TEXT = "#f4f5f7", "#000000", "#3a4150"


def gallery(
    digits: Digits, captions: Sequence[str] | None = None, columns: int | None = None, zoom: int = 3
) -> Image.Image:
    """A grid, row by row, of the n images, each enlarged `zoom` times with its caption (its label by default) below.

    Pixels are enlarged without smoothing, as a network gets them. Captions are in Latin-1, the letters of Pillow's own
    font. Without `columns` the grid is about square, at most 20 wide. Raises DataError when
    there are not n captions, or columns or zoom are below 1.
    """
    texts = [str(label) for label in digits.labels] if captions is None else list(captions)
    if len(texts) != len(digits):
        raise DataError(f"{len(texts)} captions, want {len(digits)}: one for each digit")
    across = min(len(digits), columns if columns is not None else _about_square(len(digits)))
    if across < 1 or zoom < 1:
        raise DataError(f"columns is {columns}, zoom is {zoom}, want at least 1")

    text_size = max(11, 5 * zoom)
    font = ImageFont.load_default(size=text_size)
    tile, gap = SIDE * zoom, max(6, 3 * zoom)
    widest = max(round(font.getlength(text)) for text in texts)
    cell_width = max(tile, widest) + gap
    cell_height = tile + round(1.2 * text_size) + round(1.5 * gap)
    down = -(-len(digits) // across)

    page = Image.new("RGB", (across * cell_width + gap, down * cell_height + gap), PAGE)
    draw = ImageDraw.Draw(page)
    frame = Image.new("L", (tile, tile))
    ImageDraw.Draw(frame).rounded_rectangle((0, 0, tile - 1, tile - 1), radius=zoom, fill=255)
    for index, (image, text) in enumerate(zip(digits.images, texts, strict=True)):
        row, column = divmod(index, across)
        middle = gap // 2 + column * cell_width + cell_width // 2
        top = gap + row * cell_height
        enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
        page.paste(enlarged, (middle - tile // 2, top), frame)
        draw.text((middle, top + tile + gap // 4), text, fill=TEXT, font=font, anchor="ma")
    return page


def _about_square(n: int) -> int:
    """Columns for n cells, at most 20."""
    return min(20, round(math.sqrt(n)))
