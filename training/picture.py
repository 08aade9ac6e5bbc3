"""A picture of a digit, of any size and colours, prepared as NIST's were for MNIST: uint8 [28, 28], 255 is ink.

The only preprocessing of pictures, in five steps, each a function here:

1. grey levels, upright, transparent parts laid on paper (`levels`), in the pixels that the picture had before it was
   enlarged without smoothing (`unenlarged`);
2. polarity: the border is paper, and the ink is what differs most from it, unless the caller says (`polarity`);
3. uneven light, noise of the camera and specks are removed (`inked`); a clean picture stays as it is;
4. strokes so fine that they would vanish in 28 x 28 are made as wide as those of a thin pen in MNIST (`thickened`);
5. the ink, aspect kept, fills 20 x 20, with its centre of mass in the middle of 28 x 28 (`fitted`), as in LeCun,
   Bottou, Bengio & Haffner (1998), "Gradient-based learning applied to document recognition", section III-A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from PIL import ExifTags, Image
from scipy import ndimage

from training.errors import DigitsError
from training.images import FULL_INK, SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

    Levels = NDArray[np.float32]

Ink = Literal["white", "black"]

LONGEST: Final = 1024
"""Pictures with a longer side, in pixels, are made smaller first: more detail does not show in 28 x 28."""
BAND_PIXELS: Final = 2**18
"""Large pictures are reduced in bands of so many pixels: copies of the whole would take three times its memory."""
FIT: Final = 20
"""The side of the square that MNIST's digits fill."""
MIDDLE: Final = SIDE // 2
"""The row and the column where MNIST has the centre of mass, to the nearest pixel."""
GROUND_LONGEST: Final = 128
"""The light on the paper is estimated in a picture whose longer side has at most so many pixels."""
GROUND_WINDOW: Final = 0.5
"""A dark area of this share of the shorter side, both ways, is a shadow and not ink."""
SEEN: Final = 0.05
"""Where less than this share of the surroundings is paper, its grey level is taken from farther away."""
FAINTEST: Final = 0.1
"""Ink takes at least this share of the paper's light; anything less is a blank picture."""
NOISE: Final = 3.0
"""Grey levels within so many standard deviations of the paper's are paper, too."""
SPECK: Final = 0.03
"""Connected parts with less ink than this share of the largest one are specks."""
EDGE: Final = 0.1
"""Parts that touch the edge are removed when a part that does not has at least this share of the largest one's ink."""
BOX_LEVEL: Final = 0.3
"""Pixels with at least this share of full ink belong to the bounding box of the digit."""
THIN, THIN_PEN = 1.0, 1.6
"""Strokes thinner than the first number, in pixels of 28 x 28, are made as wide as the second."""
SQUARE, SOLID = 0.6, 0.77
"""A bounding box that is nearly square, and filled to more than the second share, holds a blot: a disc fills π/4 of it,
and the 14,951 digits with such a box among MNIST's first 20,000 training images at most 0.764."""
RANGES: Final = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535}
"""Full white in Pillow's modes with 16 bits."""
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
    """The picture is all one colour, or nearly so, or has a blot but no strokes."""

    def __init__(self, ink: Ink) -> None:
        super().__init__(f"the picture is all one colour or has no {ink} strokes, want a digit on it")


def prepare(picture: Image.Image, ink: Ink | None = None) -> Images:
    """The picture as uint8 [28, 28]; the colour of the ink is found by the border unless it is given. Raises NoInk."""
    return prepare_levels(levels(picture, ink), ink)


def prepare_levels(grey: Levels, ink: Ink | None = None) -> Images:
    """As `prepare`, for grey levels of `levels`: the picture itself, up to 100 MB, can be freed before."""
    grey = unenlarged(grey)
    ink = ink or polarity(grey)
    strokes = thickened(inked(grey, ink))
    if solid(strokes):
        raise NoInk(ink)
    return fitted(strokes)


def levels(picture: Image.Image, ink: Ink | None = None) -> Levels:
    """Grey levels float32 [h, w] in 0…255 by luminance (ITU-R 601), upright, no side longer than LONGEST.

    Transparent parts are paper: white, or black where the ink is white.
    """
    orientation = _orientation(picture)
    factor = -(-max(picture.size) // LONGEST)
    width, height = picture.size
    rows = max(BAND_PIXELS // width // factor, 1) * factor
    bands = (picture.crop((0, top, width, min(top + rows, height))) for top in range(0, height, rows))
    grey = np.concatenate([_reduced(band, ink, factor) for band in bands])
    if orientation in UPRIGHT:
        grey = np.asarray(Image.fromarray(grey).transpose(UPRIGHT[orientation]))
    return grey


def _orientation(picture: Image.Image) -> int:
    """The orientation in a picture's EXIF data; 1, upright, if there is none or it cannot be read."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # for damaged data Pillow may raise any exception
        return 1


def _reduced(band: Image.Image, ink: Ink | None, factor: int) -> Levels:
    """Grey levels float32 [h, w] of a band of a picture, `factor` times smaller."""
    paper = "black" if ink == "white" else "white"
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


def polarity(grey: Levels) -> Ink:
    """The colour of the ink: the median of the outermost pixels is paper, the grey level farthest from it is ink."""
    border = np.median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]))
    return "black" if border - grey.min() >= grey.max() - border else "white"


def inked(grey: Levels, ink: Ink) -> Levels:
    """Ink float32 [h, w] in 0…1 for grey levels [h, w] in 0…255. Raises NoInk."""
    if ink == "white":
        grey = np.float32(FULL_INK) - grey
    paper = ground(grey)
    # Black ink reflects a share of the paper's light; white chalk reflects light that does not depend on the ground.
    dark = np.maximum(paper - grey, 0) / (np.maximum(paper, 1) if ink == "black" else FULL_INK)
    if dark.max() < FAINTEST:
        raise NoInk(ink)
    threshold = otsu(dark)
    noise = dark[dark <= threshold]
    middle = np.median(noise)
    floor = middle + NOISE * 1.4826 * np.median(np.abs(noise - middle))  # the deviation, if the noise is Gaussian
    full = np.percentile(dark[dark > threshold], 95)
    if full - floor < FAINTEST:
        raise NoInk(ink)
    return cleaned(np.clip((dark - floor) / (full - floor), 0, 1).astype(np.float32))


def ground(grey: Levels) -> Levels:
    """The paper's grey level at each pixel, float32 [h, w]: a morphological closing, refined."""
    height, width = grey.shape
    factor = -(-max(height, width) // GROUND_LONGEST)
    picture = Image.fromarray(grey)
    small = np.asarray(picture.reduce(factor) if factor > 1 else picture)
    window = max(round(GROUND_WINDOW * min(small.shape)), 3)
    closed = ndimage.grey_closing(small, (window, window), mode="nearest")
    if np.ptp(closed) == 0:
        return np.full_like(grey, closed[0, 0])
    if np.median(small) == small.max():  # most of it is paper of one level: no photograph
        return np.full_like(grey, small.max())
    # A closing also fills slopes of light; where paper is visible around the strokes, its mean is the better estimate.
    dark = np.maximum(closed - small, 0) / np.maximum(closed, 1)
    paper = ~ndimage.binary_dilation(dark > max(otsu(dark), FAINTEST), iterations=2)
    reach = window / 16
    seen = ndimage.gaussian_filter(paper.astype(np.float32), reach, mode="nearest")
    mean = ndimage.gaussian_filter(np.where(paper, small, 0), reach, mode="nearest") / np.maximum(seen, SEEN)
    smooth = np.where(seen > SEEN, mean, ndimage.gaussian_filter(closed, reach, mode="nearest"))
    return np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BILINEAR))


def otsu(values: Levels) -> float:
    """The threshold between two groups of values in 0…1 (Otsu 1979), to 1/256."""
    counts = np.bincount((values * 255).astype(np.uint8).ravel(), minlength=256)
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(np.nan_to_num(between).argmax() + 1) / 256


def cleaned(ink: Levels) -> Levels:
    """Ink without specks, and without parts cut off by the edge when there is a digit that is whole."""
    parts, count = ndimage.label(ink > 0, np.ones((3, 3)))
    if count < 2:
        return ink
    amounts = np.bincount(parts.ravel(), np.where(ink > 0.5, ink, 0).ravel())
    at_edge = np.zeros(count + 1, bool)
    at_edge[np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])] = True
    whole = np.where(at_edge, 0, amounts).max()
    if whole >= EDGE * amounts.max():
        amounts[at_edge] = 0
    return np.where((amounts >= SPECK * amounts.max())[parts] & (parts > 0), ink, 0)


def thickened(ink: Levels) -> Levels:
    """Ink with strokes of at least a thin pen's width, relative to the 20 x 20 that it will fill."""
    rows, columns = _box(ink)
    unit = max(rows[1] - rows[0], columns[1] - columns[0]) / FIT
    drawn = np.pad(ink > 0.5, 1)
    outline = np.pi / 4 * sum(np.count_nonzero(np.diff(drawn, axis=axis)) for axis in (0, 1))  # lines of all directions
    width = 2 * drawn.sum() / outline / unit
    if width >= THIN:
        return ink
    radius = (THIN_PEN - width) / 2 * unit
    wide = np.pad(ink, int(np.ceil(radius)) + 1)
    away = ndimage.distance_transform_edt(wide <= 0.5)
    return np.maximum(wide, np.clip(radius + 1 - away, 0, 1)).astype(np.float32)


def solid(ink: Levels) -> bool:
    """Whether the ink is one blot, such as a dot, a disc or a square, and no strokes."""
    rows, columns = _box(ink)
    box = ink[slice(*rows), slice(*columns)]
    return min(box.shape) > SQUARE * max(box.shape) and (box > 0.5).mean() > SOLID


def fitted(ink: Levels) -> Images:
    """The picture uint8 [28, 28]: ink, scaled into 20 x 20 by area, its centre of mass in the middle."""
    rows, columns = _box(ink)
    unit = max(rows[1] - rows[0], columns[1] - columns[0]) / FIT
    room = int(np.ceil(SIDE * unit)) + 1
    margin = int(np.ceil(4 * unit))
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    near = np.pad(ink[top : rows[1] + margin, left : columns[1] + margin], room)
    x, y = room + columns[0] - left - 4 * unit, room + rows[0] - top - 4 * unit
    kind = Image.Resampling.BOX if unit >= 1 else Image.Resampling.BICUBIC
    window = (x, y, x + SIDE * unit, y + SIDE * unit)
    small = np.clip(np.asarray(Image.fromarray(near).resize((SIDE, SIDE), kind, window)), 0, 1)  # [28, 28]
    small = small / small.max()
    for axis, (first, last) in enumerate((rows, columns)):
        centre = np.arange(SIDE) @ small.sum(1 - axis) / small.sum()
        spare = SIDE - int(np.ceil((last - first) / unit))
        shift = int(np.clip(np.rint(MIDDLE - centre), -4, spare - 4))
        small = np.roll(small, shift, axis)
    return np.rint(small * FULL_INK).astype(np.uint8)


def _box(ink: Levels) -> tuple[tuple[int, int], tuple[int, int]]:
    """The bounding box of the ink: rows and columns, each as (first, last + 1)."""
    there = ink >= BOX_LEVEL
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
