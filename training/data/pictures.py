"""Labelled pictures in a folder or a table: all of them as digits, or without those that cannot be read."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.data.digits import DataError, Digits
from training.data.picture_file import read_levels, readable, small_digit
from training.picture import find_line, polarity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from training.images import Images
    from training.picture import Ink

    Tell = Callable[[str], None]


class Labelled(NamedTuple):
    """A picture file and its digit."""

    name: str
    """Says in errors which picture it is."""
    file: Path | bytes
    """Its path, or its content."""
    digit: int


def read_pictures(
    path: Path, pictures: Iterable[Labelled], ink: Ink | None, tell: Tell, skip: Tell | None = None
) -> Digits:
    """Digits of the pictures of a folder or a file, in their order.

    `ink` is the colour of the strokes: white on black as in MNIST, or black on white. Without it, the colour is found
    for each picture, as in the service, and `tell` gets a sentence that counts the pictures of both kinds.
    `skip` gets a sentence about each picture that cannot be read, which is left out. Raises DataError for a picture
    that cannot be read if there is no `skip`, and if there is no other picture.
    """
    images, inks, digits = [], [], []
    for name, file, digit in pictures:
        try:
            image, found = read_picture(file, ink)
        except DataError as error:
            if skip is None:
                raise DataError(f"{name}: {error}") from error
            skip(f"{name}: {error}")
        else:
            images.append(image)
            inks.append(found)
            digits.append(digit)
    if not images:
        raise DataError(f"{path}: none of the pictures can be read")
    if ink is None:
        dark = inks.count("black")
        tell(
            f"{path}: {dark} of {len(inks)} pictures are taken for dark on light and {len(inks) - dark} for light on "
            "dark; --ink black or --ink white states it"
        )
    return Digits(np.stack(images), np.array(digits, dtype=np.uint8))


def read_picture(file: Path | bytes, ink: Ink | None = None) -> tuple[Images, Ink]:
    """One picture as uint8 [28, 28], 255 where the ink is, and its colour; see `read_pictures` for `ink`.

    Pictures of 28 x 28 pixels are taken as they are, or inverted; their border is taken for paper. Other sizes are
    prepared as in the service. Colours become grey by luminance, and transparent parts are background. Raises
    DataError, which does not name the file.
    """
    with readable():
        grey, small = read_levels(BytesIO(file) if isinstance(file, bytes) else file, ink)
        if small:
            found = ink or polarity(grey)
            return small_digit(grey, found), found
        line = find_line(grey, ink, alone=True)
        return line.image, line.ink
