"""How well digits are read that come as pictures: rendered large, shifted, on paper of either colour, through PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from training.images import FULL_INK, SIDE
from training.picture import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.images import Images

    Predict = Callable[[Images], NDArray[np.float32]]

FILTERS: Final = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
"""How people enlarge pictures."""
SCALES: Final = (4.0, 20.0)
ROOM: Final = 1.5
"""The paper's side may be so many times that of the digit's picture."""
UCI_SCALES: Final = (8, 32)
BATCH: Final = 250


class PictureErrors(NamedTuple):
    """Pictures that were misread, and how many there were: MNIST's, and scikit-learn's `load_digits`."""

    mnist_wrong: int
    mnist: int
    uci_wrong: int
    uci: int


def picture_errors(predict: Predict, digits: Digits, *, uci_limit: int | None = None) -> PictureErrors:
    """What `predict` misreads of digits rendered large, and of the 1,797 digits [8, 8] that scikit-learn brings.

    The renderings depend on nothing but the digits. These 8 x 8 pictures come from the same collection of forms as
    MNIST. Nothing was trained on them; the first 500 were looked at when the preparation was made.
    """
    from sklearn.datasets import load_digits

    uci, rng = load_digits(), np.random.default_rng(0)
    small = np.rint(uci.images[:uci_limit] * (FULL_INK / 16)).astype(np.uint8)  # [n, 8, 8]
    large = (png(rendered(image, rng)) for image in digits.images)
    enlarged = (png(rendered_whole(image, rng)) for image in small)
    return PictureErrors(
        _wrong(predict, large, digits.labels), len(digits.labels), _wrong(predict, enlarged, uci.target), len(small)
    )


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


def _wrong(predict: Predict, files: Iterable[bytes], labels: NDArray[np.integer]) -> int:
    """How many of the pictures are read as another digit than their label."""
    images = np.stack([prepare(Image.open(io.BytesIO(file))) for file in files])
    parts = [predict(images[first : first + BATCH]) for first in range(0, len(images), BATCH)]
    return int((np.concatenate(parts).argmax(axis=1) != labels[: len(images)]).sum())
