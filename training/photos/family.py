"""Families of photos: pictures of one kind, made one after the other from digits and a seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from training.photos.drawing import is_strokes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image

    from training.data.digits import Digits, Labels
    from training.images import Images
    from training.photos.canvas import Random

    Draw = Callable[[Images, Labels, Random], "Photo"]

Kind = Literal["digit", "digits", "outlier"]
AT_HAND: Final = 9
"""Digits that each picture can be made of."""


class Photo(NamedTuple):
    """A picture in RGB, and the digits to be read in it from left to right.

    Its shorter side has 600 pixels or more, but for thumbnails.
    """

    image: Image
    text: str
    """Empty if the picture shows no digit."""


@dataclass(frozen=True)
class Family:
    """Pictures of one kind."""

    name: str
    title: str
    kind: Kind
    """One digit, several on one line, or nothing that is a digit."""
    draw: Draw
    """A photo of the first digits of images uint8 [AT_HAND, 28, 28] and labels uint8 [AT_HAND]."""
    held_out: bool = False
    """Whether the family is for the last measurement alone, and no choice is made on it."""


def photos(family: Family, digits: Digits, count: int, seed: int) -> Iterator[Photo]:
    """`count` photos, the same for the same digits and seed; photo i does not depend on how many there are.

    A digit is the first of a photo again only when all others have been. Digits whose loops are filled with ink are
    left out: drawn with a finer pen, an 8 would be a 1.
    """
    firsts = _drawable(digits, np.random.default_rng(seed).permutation(len(digits)))
    for index in range(count):
        random = np.random.default_rng([seed, zlib.crc32(family.name.encode()), index])
        others = islice(_drawable(digits, random.integers(0, len(digits), 4 * AT_HAND)), AT_HAND - 1)
        rows = np.array([next(firsts), *others])
        yield family.draw(digits.images[rows], digits.labels[rows], random)


def _drawable(digits: Digits, rows: NDArray[np.integer]) -> Iterator[int]:
    """The rows of digits that a pen can draw, over and over; all of them, if it can draw none."""
    found = []
    for row in rows:
        if is_strokes(digits.images[row]):
            found.append(int(row))
            yield int(row)
    yield from cycle(found or rows.tolist())
