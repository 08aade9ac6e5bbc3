"""Letters, signs and digits of the fonts that come with matplotlib, prepared as digits are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from training.exposure.page import prepared
from training.photos.glyph import font
from training.photos.sources import DEVELOPMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.images import Images

SIGNS: Final = (
    '+-=*#%&@?$<>^~".,:;_'
    "ÄÖÜäöüéèñçÅåæÆøØßþ§¶€£¥©®¿"
    "ΑΓΔΕΗΚΛΜΝΞΠΡΣΤΥΧΨΩαβγεηκλμνπρςτυχψω"
    "ДЖИЙКЛПУХЦШЩЫЭЮЯавджиклмнптфхцшщыюя"
    "←↑→↓↔↕↖↗↘↙⇐⇒⇑⇓⇔↦↩↪↺↻"
    "∀∃∂∇∈∋∏∑√∝∞∠∧∨∩∪∫∴∵∼≃≈≠≡≤≥≪≫⊂⊃⊆⊇⊕⊗⊥⋅⋆±×÷"  # noqa: RUF001 - a sign of multiplication
    "■▲△▶▷▼▽◀◁◆◇★☆♠♣♥♦♩♪♫♭♯✓✗✠✦"
)
"""Signs, letters with marks, Greek and Cyrillic letters, arrows and shapes, without those that look like digits."""
DIGITS: Final = "0123456789"
SIZE, PAGE = 48, 128
"""Of the font and of the page, in pixels."""


def glyphs(characters: str, fonts: Sequence[str] = DEVELOPMENT.fonts) -> Images:
    """Pictures uint8 [n, 28, 28] of every character in each of the fonts that has it."""
    from matplotlib.ft2font import FT2Font

    found = []
    for name in fonts:
        shape = font(name, SIZE)
        there = FT2Font(str(shape.path)).get_charmap()
        for character in characters:
            if ord(character) in there:
                page = Image.new("L", (PAGE, PAGE))
                ImageDraw.Draw(page).text((PAGE / 4, PAGE / 4), character, fill=255, font=shape)
                found.append(prepared(page))
    return np.stack(found)
