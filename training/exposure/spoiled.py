"""Digits that are none any more: parts of them, two at once, turned over, inverted, tiny, far off, framed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from training.exposure.page import prepared
from training.images import FULL_INK, SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from training.images import Images

    Change = Callable[[Images, np.random.Generator], Images]

MIDDLE: Final = SIDE // 2
MIRRORED, UPSIDE_DOWN, ON_THE_SIDE = (3, 4, 6, 7, 9), (4, 7), (2, 3, 4, 5, 6, 7, 9)
"""Digits that look like no digit after reflection left to right, top to bottom, and after a quarter turn."""


def spoiled(images: Images, labels: NDArray[np.uint8], random: np.random.Generator) -> Images:
    """About as many pictures uint8 [m, 28, 28] as `images` uint8 [n, 28, 28] with their digits `labels` [n]."""
    changes: list[Change] = [_part, _part, _part, _pairs, _overlaid, _inverted, _tiny, _far_off, _framed]
    kinds = random.integers(0, len(changes) + 2, len(images))
    found = [change(images[kinds == kind], random) for kind, change in enumerate(changes)]
    rest, digits = images[kinds >= len(changes)], labels[kinds >= len(changes)]
    mirrored, upside, aside = (np.isin(digits, some) for some in (MIRRORED, UPSIDE_DOWN, ON_THE_SIDE))
    found += [rest[mirrored, :, ::-1], rest[upside, ::-1], np.rot90(rest[aside], axes=(1, 2))]
    return np.concatenate(found)


def _part(images: Images, random: np.random.Generator) -> Images:
    """One side of a line across, near the middle, as it lies or moved to the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    found = []
    for image in images:
        angle = random.choice([0, 0.5, 1, 1.5, random.uniform(0, 2)]) * np.pi
        part = np.where(x * np.cos(angle) + y * np.sin(angle) > random.uniform(-1.5, 2), image, 0)
        if part.max() > FULL_INK / 2:
            found.append(part if random.random() < 0.6 else prepared(part.astype(np.float32) / FULL_INK))
    return _stacked(found)


def _pairs(images: Images, random: np.random.Generator) -> Images:
    """Two side by side or one above the other, prepared as one."""
    found = []
    for left, right in zip(images, images[::-1], strict=True):
        space = int(random.integers(0, 9))
        axis = int(random.random() < 0.8)
        gap = [slice(None)] * 2
        gap[axis] = slice(0, SIDE - space)
        rest = [slice(None)] * 2
        rest[axis] = slice(space, SIDE)
        both = np.concatenate([left[tuple(gap)], right[tuple(rest)]], axis=axis)
        found.append(prepared(both.astype(np.float32) / FULL_INK))
    return _stacked(found)


def _overlaid(images: Images, random: np.random.Generator) -> Images:
    """Two, one of them moved by some pixels."""
    found = []
    for one, other in zip(images, images[::-1], strict=True):
        shift = random.integers(-7, 8, 2)
        found.append(prepared(np.maximum(one, _moved(other, shift)).astype(np.float32) / FULL_INK))
    return _stacked(found)


def _inverted(images: Images, random: np.random.Generator) -> Images:  # noqa: ARG001 - all changes have it
    return np.asarray(FULL_INK - images, np.uint8)


def _tiny(images: Images, random: np.random.Generator) -> Images:
    """A third of the size."""
    found = np.zeros_like(images)
    for image, small in zip(found, images, strict=True):
        top, left = random.integers(2, SIDE - 11, 2)
        image[top : top + 9, left : left + 9] = small[:27, :27].reshape(9, 3, 9, 3).mean(axis=(1, 3))
    return found


def _far_off(images: Images, random: np.random.Generator) -> Images:
    """Moved by 8 to 13 pixels, so that a part is cut off."""
    found = []
    for image in images:
        angle, by = random.uniform(0, 2 * np.pi), random.uniform(8, 13)
        found.append(_moved(image, np.rint([by * np.sin(angle), by * np.cos(angle)]).astype(int)))
    return _stacked(found)


def _framed(images: Images, random: np.random.Generator) -> Images:
    """Smaller, with lines at two to four sides, or lines right across."""
    found = []
    for image in images:
        picture = np.pad(image, 4).astype(np.float32) / FULL_INK
        size, pen = len(picture), int(random.integers(1, 4))
        place = int(random.integers(0, 6))
        for side in random.permutation(4)[: random.integers(2, 5)]:
            at = slice(place, place + pen) if side % 2 else slice(size - place - pen, size - place)
            picture[(at, slice(None)) if side < 2 else (slice(None), at)] = random.uniform(0.5, 1)
        found.append(prepared(picture / picture.max()))
    return _stacked(found)


def _moved(image: Images, by: NDArray[np.integer]) -> Images:
    return np.asarray(ndimage.shift(image, by, order=0), np.uint8)


def _stacked(found: list[Images]) -> Images:
    return np.stack(found) if found else np.empty((0, SIDE, SIDE), np.uint8)
