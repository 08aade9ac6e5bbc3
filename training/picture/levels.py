"""Grey levels of a picture file's pixels: upright, transparent parts laid on paper, of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from PIL import ExifTags, Image

from training.errors import DigitsError
from training.images import FULL_INK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Levels: TypeAlias = "NDArray[np.float32]"
Ink = Literal["white", "black"]
INKS: Final[tuple[Ink, ...]] = ("black", "white")

LONGEST: Final = 1024
"""Pictures with a longer side, in pixels, are made smaller first: more detail does not show in 28 x 28."""
BAND_PIXELS: Final = 2**18
"""Large pictures are reduced in bands of so many pixels: copies of the whole would take three times its memory."""
FAINTEST: Final = 0.1
"""Ink takes at least this share of the paper's light; anything less is a blank picture."""
RANGES: Final = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535}
"""Full white in Pillow's modes with 16 bits."""
UNSTATED_MODES: Final = ("I", "F")
"""Pillow's modes with 32 bits for a pixel, which have no stated range."""
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By orientation (EXIF 2.3, 4.6.4): the transposition that turns a picture upright."""


class NoInk(DigitsError, ValueError):
    """The picture is all one colour, or nearly so, or what is on it is no digit, such as a blot, dots or a pattern."""

    def __init__(self, ink: Ink) -> None:
        super().__init__(f"the picture has no {ink} strokes that could be a digit, want connected lines on plain paper")


def levels(picture: Image.Image, ink: Ink | None = None) -> Levels:
    """Grey levels float32 [h, w] in 0…255 by luminance (ITU-R 601), upright, no side longer than LONGEST.

    Transparent parts are paper: white, or black where the ink is white or nothing would be seen on white.
    """
    picture.load()  # which turns a TIFF upright
    orientation = _orientation(picture)
    grey = _grey(picture, "black" if ink == "white" else "white")
    if ink is None and picture.has_transparency_data and grey.min() > FULL_INK * (1 - FAINTEST):
        grey = _grey(picture, "black")
    if _white_is_zero(picture):
        grey = FULL_INK - grey
    if orientation in UPRIGHT:
        grey = np.asarray(Image.fromarray(grey).transpose(UPRIGHT[orientation]))
    return grey


def _orientation(picture: Image.Image) -> int:
    """The orientation in a picture's EXIF data; 1, upright, if there is none or it cannot be read."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # for damaged data Pillow may raise any exception
        return 1


def _white_is_zero(picture: Image.Image) -> bool:
    """Whether white is 0: in TIFF (6.0, PhotometricInterpretation), which Pillow sees to unless there are 16 bits."""
    tags: Mapping[int, object] = getattr(picture, "tag_v2", {})
    return picture.mode in RANGES and tags.get(ExifTags.Base.PhotometricInterpretation) == 0


def _grey(picture: Image.Image, paper: Ink) -> Levels:
    """Grey levels float32 [h, w] of a picture as it lies, on paper of a colour, no side longer than LONGEST."""
    factor = -(-max(picture.size) // LONGEST)
    width, height = picture.size
    rows = max(BAND_PIXELS // width // factor, 1) * factor
    bands = (picture.crop((0, top, width, min(top + rows, height))) for top in range(0, height, rows))
    return np.concatenate([_reduced(band, paper, factor) for band in bands])


def _reduced(band: Image.Image, paper: Ink, factor: int) -> Levels:
    """Grey levels float32 [h, w] of a band of a picture, `factor` times smaller, on paper of a colour."""
    if band.mode in RANGES:
        deep = np.asarray(band)
        grey = Image.fromarray(deep.astype(np.float32) * np.float32(FULL_INK / RANGES[band.mode]))
        if band.has_transparency_data:  # one of the 65,536 levels, which Pillow lays on nothing
            grey.paste(paper, mask=Image.fromarray(deep == band.info["transparency"]))
    elif band.has_transparency_data:
        sheet = Image.new("RGBA", band.size, paper)
        grey = Image.alpha_composite(sheet, band.convert("RGBA")).convert("L")
    else:
        grey = band.convert("L")
    if factor > 1:
        grey = grey.convert("F").reduce(factor)
    return np.asarray(grey, np.float32)


def unenlarged(grey: Levels) -> Levels:
    """Undoes an enlargement without smoothing, in which each pixel has become a block of equal ones."""
    changes = [np.flatnonzero(np.diff(grey, axis=axis).any(1 - axis)) + 1 for axis in (0, 1)]
    block = np.gcd.reduce(np.concatenate([*changes, grey.shape]))
    return grey[::block, ::block]
