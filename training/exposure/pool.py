"""The pictures that the out-of-distribution head learns from beside the digits of the training."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.exposure import glyphs, shapes, spoiled, strokes, textures
from training.photos.sources import LETTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images


DRAWN = 800
"""The scale of the numbers of pictures."""


class Pool(NamedTuple):
    """Pictures uint8 [n, 28, 28] of no digit, and digits in print and by other hands, uint8 [m, 28, 28]."""

    outliers: Images
    digits: Images


def pool(images: Images, labels: NDArray[np.uint8]) -> Pool:
    """The same pictures for the same digits: some outliers are made from `images` uint8 [n, 28, 28], `labels` [n]."""
    drawings = _drawings(DRAWN)
    spoilt = spoiled.spoiled(images, labels, np.random.default_rng(1))
    return drawings._replace(outliers=np.concatenate([drawings.outliers, spoilt]))


@lru_cache(1)
def _drawings(n: int) -> Pool:
    random = np.random.default_rng(0)
    outliers = [
        *[glyphs.glyphs(LETTERS)] * 4,
        *[glyphs.glyphs(glyphs.SIGNS)] * 2,
        *[strokes.written(strokes.LETTERS, n // 40, random)] * 2,
        *[strokes.written(strokes.SIGNS, n // 40, random)] * 2,
        strokes.scribbles(n * 3 // 10, random),
        strokes.lines(n * 3 // 10, random),
        shapes.shapes(n * 6, random),
        shapes.blocks(n * 3 // 10, random),
        textures.blots(n * 18 // 10, random),
        textures.smudges(n * 5 // 10, random),
        textures.noise(n * 3 // 10, random),
        textures.cuttings(n * 5 // 10, random),
    ]
    digits = [*[glyphs.glyphs(glyphs.DIGITS)] * 8, strokes.written(strokes.DIGITS, n // 20, random)]
    return Pool(np.concatenate(outliers), np.concatenate(digits))
