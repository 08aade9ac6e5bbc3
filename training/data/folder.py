"""A folder of pictures per class: sub-folders 0…9 of PNG, JPEG, WebP, GIF, BMP or TIFF files.

Pictures of 28 x 28 pixels are taken as they are, or inverted; other sizes are prepared as in the service
(`training.picture`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.data.digits import DataError, Digits
from training.data.picture_file import read_levels, readable, small_digit
from training.images import CLASSES
from training.picture import polarity, prepare_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from training.images import Images
    from training.picture import Ink

NAMES = tuple(str(digit) for digit in range(CLASSES))


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
        with readable():
            grey, small = read_levels(path, ink)
            found = ink or polarity(grey)
            return (small_digit(grey, found) if small else prepare_levels(grey, ink)), found
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder by name, without hidden ones."""
    return (entry for entry in sorted(folder.iterdir()) if not entry.name.startswith("."))
