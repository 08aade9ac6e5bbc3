"""Digits rendered as PNG pictures: enlarged, shifted, on paper of either colour, and prepared again."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from training.data.digits import Digits
from training.images import FULL_INK, SIDE
from training.picture import NoInk, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.images import Images

FILTERS: Final = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
"""Filters that pictures are enlarged with."""
SCALES: Final = (4.0, 20.0)
ROOM: Final = 1.5
"""Maximum ratio of the paper's side to that of the digit's picture."""
UCI_SCALES: Final = (8, 32)


def rendered_digits(digits: Digits, limit: int) -> Digits:
    """At most `limit` of the digits, evenly picked, rendered as pictures and prepared again.

    The pictures depend on the digits alone.
    """
    some = digits.take(np.linspace(0, len(digits) - 1, min(limit, len(digits))).astype(np.intp))
    rng = np.random.default_rng(0)
    return Digits(_prepared(rendered(image, rng) for image in some.images), some.labels)


def uci_digits(limit: int) -> Digits:
    """The first `limit` of the 1,797 digits [8, 8] of scikit-learn's `load_digits`, enlarged and prepared.

    They come from the same collection of forms as MNIST. Nothing was trained on them, but the preparation was chosen
    with their help: with 500 of them throughout, and with all of them at the end.
    """
    from sklearn.datasets import load_digits

    uci, rng = load_digits(), np.random.default_rng(0)
    small = np.rint(uci.images[:limit] * (FULL_INK / 16)).astype(np.uint8)  # [n, 8, 8]
    return Digits(_prepared(rendered_whole(image, rng) for image in small), uci.target[:limit].astype(np.uint8))


def rendered(image: Images, rng: np.random.Generator) -> Image.Image:
    """A digit uint8 [28, 28] enlarged 4 to 20 times, by any of FILTERS, somewhere on white or black paper."""
    side = round(SIDE * rng.uniform(*SCALES))
    large = Image.fromarray(image).resize((side, side), FILTERS[rng.integers(len(FILTERS))])
    room = round(side * rng.uniform(1, ROOM))
    picture = Image.new("L", (room, room))
    picture.paste(large, (int(rng.integers(room - side + 1)), int(rng.integers(room - side + 1))))
    return _on_paper(picture, rng)


def rendered_whole(image: Images, rng: np.random.Generator) -> Image.Image:
    """A picture uint8 [8, 8] enlarged 8 to 32 times, by any of FILTERS, on white or black paper."""
    side = len(image) * int(rng.integers(UCI_SCALES[0], UCI_SCALES[1] + 1))
    return _on_paper(Image.fromarray(image).resize((side, side), FILTERS[rng.integers(len(FILTERS))]), rng)


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _on_paper(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.point(lambda level: FULL_INK - level) if rng.integers(2) else picture


def _prepared(pictures: Iterable[Image.Image]) -> Images:
    """Pictures as a network gets them after they are sent as PNG: uint8 [n, 28, 28]; blank where nothing is found."""
    return np.stack([_prepared_one(Image.open(io.BytesIO(png(picture)))) for picture in pictures])


def _prepared_one(picture: Image.Image) -> Images:
    try:
        return prepare(picture)
    except NoInk:
        return np.zeros((SIDE, SIDE), np.uint8)
