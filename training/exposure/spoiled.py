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
STROKE: Final = FULL_INK // 4
"""Fainter pixels are the fringe of a stroke."""
NARROW: Final = 8
"""Digits narrower than so many pixels, such as 1, are in many pairs: beside another digit they hide easily."""
OVERLAP, APART = (-2, -1, 0), range(1, 7)
"""Numbers of columns between two digits."""


def spoiled(images: Images, labels: NDArray[np.uint8], random: np.random.Generator) -> Images:
    """About as many pictures uint8 [m, 28, 28] as `images` uint8 [n, 28, 28] with their digits `labels` [n]."""
    changes: list[Change] = [*[_part] * 3, *[_pairs] * 3, _overlaid, _inverted, _tiny, _far_off, _framed]
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
    """Two side by side, a few one above the other, most of them touching, prepared as one."""
    found = []
    narrow = images[(images.max(axis=1) > STROKE).sum(axis=1) < NARROW]
    for image, other in zip(images, images[::-1], strict=True):
        beside = narrow[random.integers(len(narrow))] if len(narrow) and random.random() < 0.4 else other
        pair, upright = (image, beside), random.random() < 0.9
        left, right = (pair[index] if upright else pair[index].T for index in random.permutation(2))
        both = _joined(left, right, int(random.choice(OVERLAP if random.random() < 0.6 else APART)))
        found.append(prepared((both if upright else both.T).astype(np.float32) / FULL_INK))
    return _stacked(found)


def _joined(left: Images, right: Images, apart: int) -> Images:
    """Two pictures on one [28, 84], with so many columns between their strokes in the row where they are closest."""
    ends = np.where(left > STROKE, np.arange(SIDE), -SIDE).max(axis=1)
    starts = np.where(right > STROKE, np.arange(SIDE), 2 * SIDE).min(axis=1)
    place = MIDDLE + max(apart + 1 - int((starts - ends).min()), -MIDDLE)
    both = np.zeros((SIDE, 3 * SIDE), np.uint8)
    both[:, MIDDLE : MIDDLE + SIDE] = left
    there = both[:, place : place + SIDE]
    np.maximum(there, right, out=there)
    return both


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
