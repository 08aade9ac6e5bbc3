"""Blots, smudges, gradients, noise, and cuttings of a photograph."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from training.exposure.page import prepared
from training.images import FULL_INK, SIDE
from training.photos.sources import DEVELOPMENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

ROOM: Final = 56


def blots(n: int, random: np.random.Generator) -> Images:
    """Smooth noise above a threshold, hard or soft, fading towards the edge: uint8 [n, 28, 28]."""
    y, x = np.mgrid[-1 : 1 : ROOM * 1j, -1 : 1 : ROOM * 1j]
    found = []
    for _ in range(n):
        smooth = random.uniform(1.5, 10, 2) if random.random() < 0.4 else np.full(2, random.uniform(1.5, 10))
        field = ndimage.gaussian_filter(random.standard_normal((ROOM, ROOM)), smooth, mode="wrap")
        field = field / field.std() - random.uniform(0, 4) * (x * x + y * y)
        level = np.quantile(field, random.uniform(0.6, 0.97))
        softness = random.choice([0.05, 0.3, 1.5])
        found.append(prepared(np.clip((field - level) / softness, 0, 1).astype(np.float32)))
    return np.stack(found)


def smudges(n: int, random: np.random.Generator) -> Images:
    """What a preparation finds on a sheet with shadows and folds: soft ridges and ramps, uint8 [n, 28, 28]."""
    y, x = np.mgrid[-1 : 1 : ROOM * 1j, -1 : 1 : ROOM * 1j]
    found = []
    for _ in range(n):
        ink = np.zeros((ROOM, ROOM))
        for _ in range(int(random.integers(1, 5))):
            angle = random.uniform(0, np.pi)
            across = x * np.cos(angle) + y * np.sin(angle) - random.uniform(-0.6, 0.6)
            along = y * np.cos(angle) - x * np.sin(angle) - random.uniform(-0.6, 0.6)
            width, length = random.uniform(0.03, 0.4), random.uniform(0.2, 1.5)
            ridge = np.exp(-((across / width) ** 2)) if random.random() < 0.6 else np.clip(1 - across / width, 0, 1)
            ink = np.maximum(ink, random.uniform(0.4, 1) * ridge * np.exp(-((along / length) ** 2)))
        ink += random.uniform(0, 0.15) * random.standard_normal(ink.shape)
        floor = random.uniform(0, 0.4)
        found.append(prepared(np.clip((ink - floor) / (ink.max() - floor), 0, 1).astype(np.float32)))
    return np.stack(found)


def noise(n: int, random: np.random.Generator) -> Images:
    """Noise of any grain over the whole picture, gradients, pictures of one level: uint8 [n, 28, 28]."""
    found = random.standard_normal((n, SIDE, SIDE))
    for picture in found[n // 4 :]:
        picture[:] = ndimage.gaussian_filter(picture, random.uniform(0, 5), mode="wrap")
    found /= found.std(axis=(1, 2), keepdims=True)
    ramp = random.normal(0, 0.1, (n, 2, 1, 1)) * np.arange(SIDE)
    found += random.integers(0, 2, (n, 1, 1)) * (ramp[:, 0] + ramp[:, 1].swapaxes(1, 2))
    contrast, level = random.choice([0, 20, 60, 120, 500], (n, 1, 1)), random.uniform(-50, 300, (n, 1, 1))
    return np.clip(level + contrast * found, 0, FULL_INK).astype(np.uint8)


def cuttings(n: int, random: np.random.Generator) -> Images:
    """Squares of a photograph, as they are, stretched to full contrast, or as ink on paper: uint8 [n, 28, 28]."""
    from PIL import Image

    photo = _photo()
    height, width = photo.shape
    found = []
    for _ in range(n):
        side = int(random.integers(SIDE, 8 * SIDE))
        top, left = int(random.integers(0, height - side)), int(random.integers(0, width - side))
        square = photo[top : top + side, left : left + side][:: random.choice([-1, 1]), :: random.choice([-1, 1])]
        small = np.asarray(Image.fromarray(square).resize((ROOM, ROOM), Image.Resampling.BOX), np.float32) / FULL_INK
        kind = random.integers(0, 4)
        if kind == 0:
            found.append(np.rint(FULL_INK * small.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))).astype(np.uint8))
            continue
        if random.random() < 0.5:
            small = 1 - small
        low, high = np.quantile(small, [random.uniform(0.3, 0.9), 0.99])
        if kind == 1:
            high = low + 0.02
        found.append(prepared(np.clip((small - low) / max(high - low, 0.02), 0, 1)))
    return np.stack(found)


@lru_cache
def _photo() -> NDArray[np.float32]:
    """Grey levels [h, w]."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return np.asarray(Image.fromarray(load_sample_image(DEVELOPMENT.photo)).convert("L"), np.float32)
