"""Connected parts of ink, and the groups of them that may be a digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from training.picture.light import outermost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.picture.levels import Levels

    Mask = NDArray[np.bool_]
    Box = NDArray[np.float64]
    """[4]: top, bottom, left, right; the second and the last are one more than the last pixel's."""

SPECK: Final = 0.03
"""Parts with less ink than this share of a digit's largest part are no parts of it."""
SEEDS: Final = 5
"""Number of parts that are tried as the largest of the digit."""
NEAR, DOT_NEAR = 0.16, 0.3
"""Parts of a digit are at most the first share of its size apart, a dot, as a question mark has, the second."""
DOT, DOT_WIDTH, DOT_DARKNESS = 0.006, 0.6, 0.8
"""A dot has at least this share of the largest part's ink, of its strokes' width, and of its darkness: less is dirt."""
LETTER, LETTERS = 0.5, 3
"""At least so many parts on one line, each lower than the first share of a digit's height, are a caption."""
BAR: Final = 0.3
"""A part lower than this share of its width is a line below a digit, or above it if it is longer at both ends: none of
MNIST's 60,000 training digits has such a part above, 7 below."""
ALIKE: Final = 0.6
"""A part beside another one with at least this share of its height is a digit of its own."""
WIDE: Final = 1.3
"""A digit is at most so many times as wide as high."""


@dataclass(frozen=True)
class Parts:
    """The connected parts of a mask. Arrays have a place for each part, without the ground."""

    labels: NDArray[np.int32]
    """[h, w], 0 is ground, part i has i + 1"""
    area: NDArray[np.float64]
    mass: NDArray[np.float64]
    """The sum of darkness."""
    squares: NDArray[np.float64]
    """The sum of squares of darkness."""
    outline: NDArray[np.float64]
    """Length in pixels."""
    step: NDArray[np.float64]
    """The sum of the differences of darkness across the outline."""
    at_edge: NDArray[np.float64]
    """Number of pixels at the edge of the picture."""
    boxes: NDArray[np.float64]
    """[n, 4]: the bounding boxes"""

    @classmethod
    def of(cls, mask: Mask, dark: Levels) -> Parts:
        """The parts of `mask`, in ink of some darkness [h, w]."""
        labels, count = ndimage.label(mask, np.ones((3, 3), bool))
        flat = labels.ravel()
        area = np.bincount(flat, minlength=count + 1)[1:].astype(float)
        mass, squares = (
            np.bincount(flat, of.ravel(), minlength=count + 1)[1:].astype(np.float64) for of in (dark, np.square(dark))
        )
        outline, step = np.zeros(count + 1), np.zeros(count + 1)
        for axis in (0, 1):
            one = np.take(labels, range(labels.shape[axis] - 1), axis)
            other = np.take(labels, range(1, labels.shape[axis]), axis)
            changes = one != other
            jump = np.abs(np.diff(dark, axis=axis))[changes]
            for side in (one[changes], other[changes]):
                outline += np.bincount(side, minlength=count + 1)
                step += np.bincount(side, jump, minlength=count + 1)
        border = outermost(labels)
        at_edge = np.bincount(border, minlength=count + 1)[1:].astype(float)
        sides = [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in ndimage.find_objects(labels)]
        boxes = np.array(sides, float).reshape(-1, 4)
        return cls(
            np.asarray(labels, np.int32),
            area,
            mass,
            squares,
            np.pi / 4 * outline[1:] + at_edge,
            step[1:],
            at_edge,
            boxes,
        )

    def __len__(self) -> int:
        return len(self.area)

    def box(self, group: list[int]) -> Box:
        """The bounding box of a group of parts."""
        boxes = self.boxes[group]
        return np.array([boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()])

    def around(self, group: list[int], margin: int = 0) -> tuple[slice, slice]:
        """The rows and columns of a group's bounding box and of a margin around it, as far as the picture goes."""
        top, bottom, left, right = (int(side) for side in self.box(group))
        height, width = self.labels.shape
        return (
            slice(max(top - margin, 0), min(bottom + margin, height)),
            slice(max(left - margin, 0), min(right + margin, width)),
        )

    def mask(self, group: list[int]) -> Mask:
        """The pixels of a group of parts: bool [h, w]."""
        return np.isin(self.labels, np.array(group) + 1)

    def pen(self, group: list[int]) -> float:
        """The mean width of a group's strokes in pixels: twice the area for each pixel of the outline."""
        return float(2 * self.area[group].sum() / self.outline[group].sum())

    def mean(self, group: list[int]) -> float:
        """The mean darkness of a group."""
        return float(self.mass[group].sum() / self.area[group].sum())

    def seeds(self) -> list[int]:
        """Parts that may be the largest of the digit: much ink, near the middle."""
        if not len(self):
            return []
        shape = self.labels.shape
        y = (self.boxes[:, 0] + self.boxes[:, 1]) / 2 / shape[0] - 0.5
        x = (self.boxes[:, 2] + self.boxes[:, 3]) / 2 / shape[1] - 0.5
        weight = self.mass * np.exp(-4 * (x * x + y * y))
        order = np.argsort(-weight)[:SEEDS]
        return [int(part) for part in order if weight[part] > 0.02 * weight[order[0]] and self.area[part] >= 4]

    def group(self, seed: int) -> list[int]:
        """The seed and the parts near it that make one digit with it."""
        group, box = [seed], self.boxes[seed].copy()
        size = max(box[1] - box[0], box[3] - box[2])
        dots = self._dots(seed)
        others = np.flatnonzero((self.mass >= SPECK * self.mass[seed]) | dots)
        away = np.maximum.reduce(
            [
                box[0] - self.boxes[others, 1],
                self.boxes[others, 0] - box[1],
                box[2] - self.boxes[others, 3],
                self.boxes[others, 2] - box[3],
            ]
        )
        others, away = others[away < size], away[away < size]  # noise has thousands of others
        read = self._captions(seed, others) | self._bars(seed, others)
        others, away = others[~read], away[~read]
        for part in others[np.argsort(away)]:
            if part == seed:
                continue
            its = self.boxes[part]
            apart_y, apart_x = max(box[0] - its[1], its[0] - box[1]), max(box[2] - its[3], its[2] - box[3])
            if max(apart_y, apart_x) > (DOT_NEAR if dots[part] else NEAR) * size:
                continue
            union = np.array([min(box[0], its[0]), max(box[1], its[1]), min(box[2], its[2]), max(box[3], its[3])])
            height, width = union[1] - union[0], union[3] - union[2]
            if width > WIDE * height or max(height, width) > 2 * size:
                continue
            if self.at_edge[part] and not self.at_edge[seed] and self.mass[part] > 0.1 * self.mass[seed]:
                continue
            beside = apart_x > -0.2 * min(its[3] - its[2], box[3] - box[2])
            if beside and min(its[1] - its[0], box[1] - box[0]) > ALIKE * height and apart_x > 0.03 * size:
                continue
            group.append(int(part))
            box, size = union, max(height, width)
        return group

    def _dots(self, seed: int) -> Mask:
        """Which parts are small, but no specks of dirt beside the part `seed`: bool [n]."""
        wide = self.area > (DOT_WIDTH * self.pen([seed])) ** 2
        dark = self.mass > DOT_DARKNESS * self.mean([seed]) * self.area
        return wide & dark & (self.mass > DOT * self.mass[seed]) & (self.at_edge == 0)

    def _captions(self, seed: int, others: NDArray[np.intp]) -> Mask:
        """Which of some parts are letters of a printed line beside the part `seed`: bool [n]."""
        tops, bottoms = self.boxes[others, 0], self.boxes[others, 1]
        small = bottoms - tops < LETTER * (self.boxes[seed, 1] - self.boxes[seed, 0])
        middles = np.sort((tops + bottoms)[small] / 2)
        level = np.searchsorted(middles, bottoms) - np.searchsorted(middles, tops)
        return small & (level >= LETTERS)

    def _bars(self, seed: int, others: NDArray[np.intp]) -> Mask:
        """Which of some parts are lines below or above the part `seed`, or it is one to them: bool [n]."""
        its, theirs = self.boxes[seed], self.boxes[others]
        return _is_bar(theirs.T, its) | _is_bar(its, theirs.T)


def overlap(boxes: NDArray[np.float64], box: Box) -> Mask:
    """Which of the boxes [n, 4] overlap a box: bool [n]."""
    return (boxes[:, 0] < box[1]) & (boxes[:, 1] > box[0]) & (boxes[:, 2] < box[3]) & (boxes[:, 3] > box[2])


def _is_bar(one: NDArray[np.float64], other: NDArray[np.float64]) -> Mask:
    """Whether boxes [4] or [4, n] are lines below or above others: bool [n]."""
    top, bottom, left, right = one
    middle = (top + bottom) / 2
    longer = (left < other[2]) & (right > other[3])
    found = (bottom - top < BAR * (right - left)) & ((middle > other[1]) | ((middle < other[0]) & longer))
    return np.asarray(found, np.bool_)
