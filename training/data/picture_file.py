"""A picture file, such as a PNG, that should show a digit: its grey levels, and digits of 28 x 28 pixels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from training.data.digits import DataError
from training.images import FULL_INK, SIDE
from training.picture import FAINTEST, UNSTATED_MODES, NoInk, levels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from training.images import Images
    from training.picture import Ink, Levels


@contextmanager
def readable() -> Iterator[None]:
    """Raises a DataError, which does not name the file, for whatever goes wrong with a picture inside the block."""
    try:
        yield
    except DataError:
        raise
    except NoInk as error:
        raise DataError(str(error)) from error
    except Exception as error:  # Pillow's readers raise many kinds of exceptions
        raise DataError("not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF") from error


def read_levels(file: Path | BinaryIO, ink: Ink | None) -> tuple[Levels, bool]:
    """Grey levels [h, w] of a picture file, and whether the picture is 28 x 28. Raises DataError and Pillow's errors.

    Refused are, as in the service, pictures whose grey levels could only be guessed, and animated PNG; of several
    pictures in files of other formats the first one is read.
    """
    with Image.open(file) as picture:
        if picture.mode in UNSTATED_MODES:
            raise DataError(f"has 32 bits per pixel (mode {picture.mode}), want 8 or 16")
        frames = getattr(picture, "n_frames", 1) if picture.format == "PNG" else 1
        if frames != 1:
            raise DataError(f"holds {frames} frames, want 1")
        return levels(picture, ink), picture.size == (SIDE, SIDE)


def small_digit(grey: Levels, ink: Ink) -> Images:
    """Grey levels [28, 28] as they are, or inverted where the ink is black. Raises NoInk for a blank picture."""
    if np.ptp(grey) < FAINTEST * FULL_INK:
        raise NoInk(ink)
    pixels = np.rint(grey).astype(np.uint8)
    return 255 - pixels if ink == "black" else pixels
