"""A contact sheet: photos of several families, a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from training.photos.family import photos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.data.digits import Digits
    from training.photos.family import Family

CAPTION_PX, TILE_PX, GAP_PX = 210, 180, 6
ROW_PX = TILE_PX + 4 * GAP_PX
PAGE, TEXT = "#f4f5f7", "#3a4150"


def contact_sheet(families: Sequence[Family], digits: Digits, count: int, seed: int = 0) -> Image.Image:
    """`count` photos of each family, with its title before them and the digits to be read below each."""
    font = ImageFont.load_default(size=13)
    sheet = Image.new("RGB", (CAPTION_PX + count * (TILE_PX + GAP_PX), ROW_PX * len(families)), PAGE)
    draw = ImageDraw.Draw(sheet)
    for row, family in enumerate(families):
        top = row * ROW_PX + GAP_PX
        held_out = "\nheld out" if family.held_out else ""
        draw.text((GAP_PX, top), f"{family.name}\n{_wrapped(family.title)}{held_out}", fill=TEXT, font=font)
        for column, photo in enumerate(photos(family, digits, count, seed)):
            left = CAPTION_PX + column * (TILE_PX + GAP_PX)
            small = photo.image.copy()
            small.thumbnail((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (left, top))
            draw.text((left, top + TILE_PX), photo.text, fill=TEXT, font=font)
    return sheet


def _wrapped(title: str, longest: int = 26) -> str:
    lines = [""]
    for word in title.split():
        if len(lines[-1]) + len(word) > longest:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(lines)
