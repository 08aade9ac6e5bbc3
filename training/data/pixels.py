"""Arrays from a file, validated and converted to Digits; errors name the file, the row and the pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.data.digits import DataError, Digits
from training.images import CLASSES, FULL_INK, PIXELS, SIDE, PixelError, forgotten_scale, quantise

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data.digits import Labels
    from training.images import Images

SHAPES = ((PIXELS,), (SIDE, SIDE), (SIDE, SIDE, 1))
"""The shapes of one image in an array of numbers."""
NUMBERS = "iuf"  # the kinds of NumPy dtype that are real numbers; booleans and strings are not


def digits_from(path: Path, pixels: NDArray[Any], labels: NDArray[Any], scale: float = FULL_INK) -> Digits:
    """Digits from real numbers: pixels of SHAPES in 0…scale, and labels [n], whole numbers 0…9.

    Raises DataError, naming `path` and the first wrong row (counted from 0), when they are anything else.
    """
    check_pixels(path, pixels.shape, pixels.dtype)
    if labels.shape != pixels.shape[:1]:
        raise DataError(f"{path}: labels have shape {list(labels.shape)}, want [{len(pixels)}]: one for each image")
    if len(pixels) == 0:
        raise DataError(f"{path}: there are 0 digits, want at least 1")
    return Digits(_images(path, pixels, scale), checked_labels(path, labels))


def check_pixels(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises DataError unless an array of this shape and dtype holds pixels: numbers, n images of SHAPES."""
    if shape[1:] not in SHAPES:
        wanted = f"[n, {PIXELS}], [n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1]"
        raise DataError(f"{path}: images have shape {list(shape)}, want {wanted}")
    if dtype.kind not in NUMBERS:
        raise DataError(f"{path}: images are {dtype}, want numbers")


def check_scale(path: Path, pixels: NDArray[Any], scale: float) -> None:
    """Raises DataError for pixels that run from 0 to 1 where `scale` says 255."""
    if forgotten_scale(pixels, scale):
        found = f"fractions up to {pixels.max():g}" if (pixels % 1).any() else "all 0 or 1"
        raise DataError(f"{path}: pixels are {found}, want 0 to 255; for 0…1 say scale 1 (--scale 1)")


def wrong_pixel(error: PixelError) -> str:
    """A PixelError in terms of the columns of a table, without the row."""
    return f"pixel{error.pixel} is {error.value:g}, want a number from 0 to {error.scale:g}"


def _images(path: Path, pixels: NDArray[Any], scale: float) -> Images:
    """Images uint8 [n, 28, 28] from numbers of SHAPES in 0…scale."""
    try:
        images = quantise(pixels, scale)
    except PixelError as error:
        raise DataError(f"{path}: row {error.row}, {wrong_pixel(error)}") from error
    check_scale(path, pixels, scale)
    return images


def checked_labels(path: Path, labels: NDArray[Any]) -> Labels:
    """Labels uint8 [n] from numbers [n] that are whole and in 0…9. Raises DataError naming `path` and the row."""
    if labels.dtype.kind not in NUMBERS:
        raise DataError(f"{path}: labels are {labels.dtype}, want numbers")
    good = (labels >= 0) & (labels < CLASSES) & (labels % 1 == 0)  # NaN compares false
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(f"{path}: row {row}, digit is {labels[row]:g}, want a whole number from 0 to {CLASSES - 1}")
    return labels.astype(np.uint8)
