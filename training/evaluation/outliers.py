"""Out-of-distribution pictures, which show no digit: noise, letters, half digits, photographs and more.

They come in two sets without a common source. `DEVELOPMENT` is for choices, and `training.exposure` takes its fonts and
its photograph for what networks learn; `TEST` is for the figures of `evaluate --trust` and the report, and nothing is
chosen by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.images import FULL_INK, SIDE
from training.photos.glyph import font
from training.photos.sources import ALIKE, LETTERS, TEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from training.images import Images
    from training.photos.sources import Sources

SIGNS = '"#$%&*+-<=>?@^_~'
"""Signs of ASCII without those that look like 1, as brackets do in some fonts."""
OF_EACH, DRAWN = 1000, 200
"""Numbers of pictures of a family that is made from digits or noise, and of one that is drawn."""


def outliers(digits: Images, sources: Sources = TEST) -> dict[str, Images]:
    """Outliers uint8 [n, 28, 28] by family; some families are made from `digits`, uint8 [m, 28, 28] with m >= 2."""
    random = np.random.default_rng(sources.seed)
    some = digits[random.permutation(len(digits))[:OF_EACH]]
    others = digits[random.permutation(len(digits))[:OF_EACH]]
    return {
        "uniform noise": random.integers(0, 256, (OF_EACH, SIDE, SIDE), np.uint8),
        "Gaussian noise": _ink(random.normal(128, 64, (OF_EACH, SIDE, SIDE))),
        "blank and full": np.repeat(np.arange(256, dtype=np.uint8), SIDE * SIDE).reshape(-1, SIDE, SIDE),
        "letters": _typed(LETTERS, sources.fonts),
        "letters like digits": _typed(ALIKE, sources.fonts),
        "signs": _typed(SIGNS, sources.fonts),
        "two digits": np.stack([_side_by_side(*pair) for pair in zip(some, others, strict=True)]),
        "half a digit": _halves(some, random),
        "inverted": 255 - some,
        "photographs": _crops(sources.photo, random),
        "shapes": np.stack([_shape(random) for _ in range(DRAWN)]),
        "blots": np.stack([_blot(random) for _ in range(DRAWN)]),
        "QR codes": np.stack([_code(random) for _ in range(DRAWN)]),
    }


def _typed(characters: str, fonts: Sequence[str]) -> Images:
    """Every character in every font, prepared as MNIST was."""
    from PIL import Image, ImageDraw

    found = []
    for name in fonts:
        for character in characters:
            page = Image.new("L", (256, 256))
            ImageDraw.Draw(page).text((64, 64), character, fill=255, font=font(name, 96))
            found.append(_centred(page))
    return np.stack(found)


def _shape(random: np.random.Generator) -> np.ndarray:
    """A polygon, a star, an arrow, a cross, a heart or a part of a disc, filled or in outline."""
    from PIL import Image, ImageDraw

    page = Image.new("L", (200, 200))
    draw, kind, turn = ImageDraw.Draw(page), random.integers(0, 7), int(random.integers(0, 360))
    pen = int(random.integers(5, 16))
    filled: Any = {"fill": 255} if random.random() < 0.5 else {"outline": 255, "width": pen}
    match kind:
        case 0 | 1:
            draw.regular_polygon((100, 100, 60), int(random.integers(3, 9)), turn, **filled)
        case 2:
            draw.rounded_rectangle((40, int(random.integers(40, 80)), 160, 150), int(random.integers(0, 20)), **filled)
        case 3:
            draw.pieslice((40, 40, 160, 160), turn, turn + int(random.integers(60, 300)), **filled)
        case 4:
            points = [(100, 30), (118, 80), (170, 80), (128, 112), (144, 164), (100, 132), (56, 164), (72, 112)]
            draw.polygon([*points, (30, 80), (82, 80)], **filled)
        case 5:
            points = [(30, 85), (110, 85), (110, 50), (170, 100), (110, 150), (110, 115), (30, 115)]
            draw.polygon(points, **filled)
            page = page.rotate(turn)
        case _:
            draw.ellipse((40, 50, 104, 114), fill=255)
            draw.ellipse((96, 50, 160, 114), fill=255)
            draw.polygon([(46, 100), (154, 100), (100, 165)], fill=255)
    return _centred(page)


def _blot(random: np.random.Generator) -> np.ndarray:
    """Discs upon each other, their edge softened and made hard again."""
    from PIL import Image, ImageDraw, ImageFilter

    page = Image.new("L", (200, 200))
    draw = ImageDraw.Draw(page)
    for _ in range(int(random.integers(3, 10))):
        (x, y), radius = random.normal(100, 25, 2), random.uniform(6, 28)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    soft = page.filter(ImageFilter.GaussianBlur(6))
    return _centred(soft.point(lambda level: min(max(4 * (level - 96), 0), 255)))


def _code(random: np.random.Generator) -> np.ndarray:
    """Modules as in a QR code of version 1 to 4: finder and timing patterns, the rest at random."""
    from PIL import Image

    side = int(random.choice([21, 25, 29, 33]))
    modules = random.integers(0, 2, (side, side), np.uint8)
    modules[6, ::2], modules[::2, 6], modules[6, 1::2], modules[1::2, 6] = 1, 1, 0, 0
    for rows, columns in ((slice(0, 8), slice(0, 8)), (slice(0, 8), slice(-8, None)), (slice(-8, None), slice(0, 8))):
        modules[rows, columns] = 0
    for top, left in ((0, 0), (0, side - 7), (side - 7, 0)):
        modules[top : top + 7, left : left + 7] = 1
        modules[top + 1 : top + 6, left + 1 : left + 6] = 0
        modules[top + 2 : top + 5, left + 2 : left + 5] = 1
    return _centred(Image.fromarray(np.kron(modules * np.uint8(FULL_INK), np.ones((4, 4), np.uint8))))


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
