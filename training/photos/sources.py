"""Sources of what is no digit: fonts and a photograph, one set for choices and one for the figures of the report."""

from __future__ import annotations

from typing import NamedTuple

ALIKE = "BDGIOQSZbgiloqsz"
"""Letters that look like digits, such as B like 8 and l like 1: they are left out, since no answer would be wrong."""
LETTERS = "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in ALIKE)


class Sources(NamedTuple):
    """The sources of a set of outliers."""

    seed: int
    fonts: tuple[str, ...]
    """Files among those that come with matplotlib."""
    symbols: tuple[str, ...]
    """Those of the fonts that have signs and Greek letters."""
    photo: str
    """One of scikit-learn's sample images."""


_STIX = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta")
_DEJAVU = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
)
DEVELOPMENT = Sources(1, ("cmr10", "cmss10", "cmtt10", "cmb10", *_STIX), _STIX, "flower.jpg")
TEST = Sources(2, _DEJAVU, _DEJAVU, "china.jpg")
