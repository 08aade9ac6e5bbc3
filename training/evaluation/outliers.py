"""Out-of-distribution pictures, which show no digit: noise, letters, half digits, photographs and more.

They come in two sets without a common source. `DEVELOPMENT` is for choices; `TEST` is for the figures of
`evaluate --trust` and the report, and nothing is chosen by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.images import FULL_INK, SIDE
from training.photos.sources import LETTERS, TEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from training.images import Images
    from training.photos.sources import Sources

OF_EACH = 1000
"""Number of pictures of a family that is drawn at random."""


def outliers(digits: Images, sources: Sources = TEST) -> dict[str, Images]:
    """Outliers uint8 [n, 28, 28] by family; some families are made from `digits`, uint8 [m, 28, 28] with m >= 2."""
    random = np.random.default_rng(sources.seed)
    some = digits[random.permutation(len(digits))[:OF_EACH]]
    others = digits[random.permutation(len(digits))[:OF_EACH]]
    return {
        "uniform noise": random.integers(0, 256, (OF_EACH, SIDE, SIDE), np.uint8),
        "Gaussian noise": _ink(random.normal(128, 64, (OF_EACH, SIDE, SIDE))),
        "blank and full": np.repeat(np.arange(256, dtype=np.uint8), SIDE * SIDE).reshape(-1, SIDE, SIDE),
        "letters": _letters(sources.fonts),
        "two digits": np.stack([_side_by_side(*pair) for pair in zip(some, others, strict=True)]),
        "half a digit": _halves(some, random),
        "inverted": 255 - some,
        "photographs": _crops(sources.photo, random),
    }


def _letters(fonts: Sequence[str]) -> Images:
    """Every letter in every font, prepared as MNIST was."""
    import matplotlib as mpl
    from PIL import Image, ImageDraw, ImageFont

    found = []
    for name in fonts:
        font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), 96)
        for letter in LETTERS:
            page = Image.new("L", (256, 256))
            ImageDraw.Draw(page).text((64, 64), letter, fill=255, font=font)
            found.append(_centred(page))
    return np.stack(found)


def _side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    from PIL import Image

    return _centred(Image.fromarray(np.concatenate([left, right], axis=1)))  # [28, 56]


def _halves(digits: Images, random: np.random.Generator) -> Images:
    """Digits with one half erased: left, right, upper or lower."""
    halves, middle = digits.copy(), SIDE // 2
    side = random.integers(0, 4, len(digits))
    halves[side == 0, :, :middle] = 0
    halves[side == 1, :, middle:] = 0
    halves[side == 2, :middle] = 0
    halves[side == 3, middle:] = 0
    return halves


def _crops(photo: str, random: np.random.Generator) -> Images:
    """Squares cut out of a photograph, of 28 to 224 pixels, shrunk to 28."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    page = Image.fromarray(load_sample_image(photo)).convert("L")
    crops = []
    for size in random.integers(SIDE, 8 * SIDE, OF_EACH, endpoint=True):
        left, top = (int(random.integers(0, room, endpoint=True)) for room in np.subtract(page.size, size))
        box = (left, top, left + int(size), top + int(size))
        crops.append(np.asarray(page.resize((SIDE, SIDE), Image.Resampling.BOX, box)))
    return np.stack(crops)


def _centred(page: Image) -> np.ndarray:
    """Ink on black, prepared as digits are: uint8 [28, 28]."""
    from training.picture import fitted

    return fitted(np.asarray(page, np.float32) / np.float32(FULL_INK))


def _ink(values: np.ndarray) -> Images:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
