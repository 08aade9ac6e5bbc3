"""A folder of pictures per class: sub-folders 0…9 of PNG, JPEG, WebP, GIF, BMP or TIFF files.

Pictures of 28 x 28 pixels are taken as they are, or inverted; other sizes are prepared as in the service
(`training.picture`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from training.data.digits import DataError, Digits
from training.images import CLASSES, SIDE
from training.picture import NoInk, levels, polarity, prepare_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from training.images import Images
    from training.picture import Ink, Levels

NAMES = tuple(str(digit) for digit in range(CLASSES))
FAINTEST = 25.5  # grey levels that differ by less have no ink
UNSTATED_MODES = ("I", "F")  # 32 bits per pixel, in no stated range that could be mapped to 0…255


def read_folder(path: Path, ink: Ink | None = None, tell: Callable[[str], None] = lambda _: None) -> Digits:
    """Digits from the pictures in the sub-folders 0…9 of `path`, ordered by class and then by name.

    `ink` is the colour of the strokes: white on black as in MNIST, or black on white. Without it, the border of each
    picture is taken for paper, as in the service, and `tell` gets a sentence that counts the pictures of both kinds.
    Colours become grey by luminance and transparent parts are background. Hidden files, and files beside the
    sub-folders, are ignored; a class may be missing. Raises DataError naming the sub-folder or the picture that is not
    as it should be.
    """
    classes = [entry for entry in _visible(path) if entry.is_dir()]
    for folder in classes:
        if folder.name not in NAMES:
            raise DataError(f"{folder}: is not a class, want sub-folders named 0 to 9")
    pictures = [(picture, int(folder.name)) for folder in classes for picture in _visible(folder)]
    if not pictures:
        raise DataError(f"{path}: holds no pictures, want sub-folders named 0 to 9 with pictures inside")
    images, inks = zip(*(read_picture(picture, ink) for picture, _ in pictures), strict=True)
    if ink is None:
        dark = inks.count("black")
        tell(
            f"{path}: by their borders, {dark} of {len(inks)} pictures are dark on light and {len(inks) - dark} light "
            "on dark; --ink black or --ink white states it"
        )
    return Digits(np.stack(images), np.array([digit for _, digit in pictures], dtype=np.uint8))


def read_picture(path: Path, ink: Ink | None = None) -> tuple[Images, Ink]:
    """One picture as uint8 [28, 28], 255 where the ink is, and the colour of its strokes; see `read_folder` for `ink`.

    Raises DataError naming the file.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder, want a picture")
    try:
        with Image.open(path) as picture:
            _check(path, picture)
            small = picture.size == (SIDE, SIDE)
            grey = levels(picture, ink)
        found = ink or polarity(grey)
        return (_inverted(grey, found) if small else prepare_levels(grey, ink)), found
    except DataError:
        raise
    except NoInk as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # Pillow's readers raise many kinds of exceptions
        raise DataError(f"{path}: not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF") from error


def _inverted(grey: Levels, ink: Ink) -> Images:
    """Grey levels [28, 28] as they are, or inverted where the ink is black. Raises NoInk for a blank picture."""
    if np.ptp(grey) < FAINTEST:
        raise NoInk(ink)
    pixels = np.rint(grey).astype(np.uint8)
    return 255 - pixels if ink == "black" else pixels


def _check(path: Path, picture: Image.Image) -> None:
    """Refuses pictures whose grey levels could only be guessed."""
    if picture.mode in UNSTATED_MODES:
        raise DataError(f"{path}: has 32 bits per pixel (mode {picture.mode}), want 8 or 16")
    frames = getattr(picture, "n_frames", 1)  # only formats that can be animated have it
    if frames != 1:
        raise DataError(f"{path}: holds {frames} frames, want 1")


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder by name, without hidden ones."""
    return (entry for entry in sorted(folder.iterdir()) if not entry.name.startswith("."))
