"""Several digits on one line, from left to right.

Groups of parts beside the most plausible one are digits of their own if they are alike; where digits touch, a group is
cut into pieces in every way that its columns suggest. What the pieces show decides between the ways: over-segmentation
and recognition (LeCun, Bottou, Bengio & Haffner 1998, section VI).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.picture.cut_out import around, cut_out
from training.picture.find import find, reduced
from training.picture.glare import washed_out
from training.picture.levels import NoInk, unenlarged
from training.picture.place import fitted, solid, thickened
from training.picture.plausibility import CLEAR, SOMETHING, clarity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.images import Images
    from training.picture.find import Candidate
    from training.picture.levels import Ink, Levels

HEIGHTS: Final = (0.5, 2.0)
"""Digits on a line are between so many times as high as the most plausible one."""
PENS, FAINT = 2.2, 0.55
"""Their strokes are at most so many times as wide or as narrow, and their ink has this share of its darkness."""
OTHER_PENS, OTHER_FAINT = 5.0, 0.25
"""Likewise of what may be a digit by another pen, or a piece of a box: it makes the picture unclear."""
LEVEL: Final = 0.4
"""The rows that two digits share are at least this share of the lower one's height."""
UNCUT: Final = 0.9
"""A strip, which is a group with its soft outline, that is narrower, relative to its height, is one digit."""
NARROWEST, WIDEST = 0.12, 1.35
"""A piece's width relative to the height of its strip."""
TRIED: Final = 100
"""Of so many parts, those with the most ink, it is looked whether they belong to another digit."""
CUTS: Final = 7
"""Maximum number of columns at which a group may be cut."""
HOLLOW: Final = 0.06
"""The rim of an area, whose outline has ink on both sides at more than this share of it, is not clear (LOG.md)."""


class Box(NamedTuple):
    """Where ink is, as shares of the picture's width and height."""

    left: float
    top: float
    width: float
    height: float


class Piece(NamedTuple):
    """A group of parts, or some of its columns."""

    group: int
    first: int
    """The cut on its left, counted from 0, the group's left side."""
    last: int
    """The cut on its right."""
    box: Box
    aspect: float
    """Width by height of its strip."""
    image: Images
    """uint8 [28, 28]"""


class Line(NamedTuple):
    """The pieces that may be digits, from left to right."""

    pieces: list[Piece]
    best: int
    """The group of the most plausible digit."""
    clear: bool
    """Whether it is so much more plausible than anything else that its answer can be accepted."""
    beside: int
    """Number of other groups on the line, without those that the edge cuts off unless it cuts off the best one, too."""
    elsewhere: int = 0
    """Number of groups like it above and below the line."""
    ink: Ink = "black"
    """The colour of the strokes."""

    @property
    def whole(self) -> int:
        """The piece that is all of the most plausible digit."""
        mine = [index for index, piece in enumerate(self.pieces) if piece.group == self.best and piece.first == 0]
        return max(mine, key=lambda index: self.pieces[index].last)

    @property
    def image(self) -> Images:
        """uint8 [28, 28]: all of the most plausible digit."""
        return self.pieces[self.whole].image

    @property
    def images(self) -> Images:
        """uint8 [n, 28, 28]: the pieces'."""
        return np.stack([piece.image for piece in self.pieces])

    def digits(self, costs: Sequence[float]) -> list[int]:
        """The pieces that are the digits, by the cost of each piece, in natural units of -log probability.

        Of all ways to cut a group the one with the least sum of costs is taken.
        """
        taken: list[int] = []
        for group in sorted({piece.group for piece in self.pieces}):
            taken += self._cheapest(group, costs)
        return taken

    def _cheapest(self, group: int, costs: Sequence[float]) -> list[int]:
        """The pieces of the cheapest way from the first cut of a group to the last (dynamic programming)."""
        ways: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
        mine = [index for index, piece in enumerate(self.pieces) if piece.group == group]
        for index in sorted(mine, key=lambda index: self.pieces[index].last):
            piece = self.pieces[index]
            if piece.first not in ways:
                continue
            cost, way = ways[piece.first]
            if piece.last not in ways or cost + costs[index] < ways[piece.last][0]:
                ways[piece.last] = cost + costs[index], [*way, index]
        return ways[max(self.pieces[index].last for index in mine)][1]


def find_line(grey: Levels, ink: Ink | None = None, *, alone: bool = False) -> Line:
    """The digits on the line of the most plausible one, in grey levels [h, w] in 0…255. Raises NoInk.

    With `alone` there are pieces of that one only.
    """
    grey = unenlarged(grey)
    small, factor = reduced(grey)
    found = find(small, ink)
    beside, elsewhere, unlike = _others(found)
    alike = bool(beside) or not found.view.window  # digits beside it, or a drawing, which has nothing but what is meant
    clearness = np.inf if alike else clarity(found.features)
    if clearness < SOMETHING:
        raise NoInk(found.view.ink)
    groups = sorted([found.group, *beside], key=lambda group: found.view.parts.box(group)[2])
    best = groups.index(found.group)
    pieces = [
        piece
        for number, group in enumerate(groups)
        if number == best or not alone
        for piece in _pieces(grey, factor, found, number, group)
    ]
    if not any(piece.group == best for piece in pieces):
        raise NoInk(found.view.ink)
    at_edge = found.view.parts.at_edge
    cut_off = [group for group in beside if at_edge[group].any() and not at_edge[found.group].any()]
    rows, doubtful = ([group for group in some if not at_edge[group].any()] for some in (elsewhere, unlike))
    clear = clearness > CLEAR and not washed_out(found) and found.hollow < HOLLOW and not doubtful
    return Line(pieces, best, clear, len(beside) - len(cut_off), len(rows), found.view.ink)


class _Others(NamedTuple):
    """Groups of parts that look like the most plausible digit in height, stroke width and darkness."""

    beside: list[list[int]]
    """Those on its line."""
    elsewhere: list[list[int]]
    """Those above and below."""
    unlike: list[list[int]]
    """Those of another pen."""


def _others(found: Candidate) -> _Others:
    parts = found.view.parts
    box, pen, mean = parts.box(found.group), parts.pen(found.group), parts.mean(found.group)
    height = box[1] - box[0]
    taken, others = set(found.group), _Others([], [], [])
    for seed in np.argsort(-parts.mass)[:TRIED]:
        if seed in taken or parts.mass[seed] < 0.1 * parts.mass[found.group].sum():
            continue
        group = [part for part in parts.group(int(seed)) if part not in taken]
        its = parts.box(group)
        its_height = its[1] - its[0]
        shared = min(box[1], its[1]) - max(box[0], its[0])
        width, ink = parts.pen(group) / pen, parts.mean(group) / mean
        if (
            HEIGHTS[0] < its_height / height < HEIGHTS[1]
            and 1 / OTHER_PENS < width < OTHER_PENS
            and ink > OTHER_FAINT
            and its[3] - its[2] < 6 * its_height
        ):
            if not (1 / PENS < width < PENS and ink > FAINT):
                others.unlike.append(group)
            elif shared > LEVEL * min(height, its_height):
                others.beside.append(group)
            else:
                others.elsewhere.append(group)
            taken.update(group)
    return others


def _pieces(grey: Levels, factor: int, found: Candidate, number: int, group: list[int]) -> Iterator[Piece]:
    """The pieces of a group between any two of its cuts, unless they are too narrow or too wide for a digit."""
    strip = cut_out(grey, factor, found.view, group)
    if solid(strip):
        return
    top, bottom, left, right = found.view.parts.box(group)
    tall, wide = found.view.dark.shape
    _, reach = around(found.view, group)
    origin, share = reach.start, (reach.stop - reach.start) / strip.shape[1]
    columns = _cuts(strip)
    for first, start in enumerate(columns):
        for last, stop in enumerate(columns[first + 1 :], start=first + 1):
            whole = first == 0 and last == len(columns) - 1
            if not whole and not NARROWEST < (stop - start) / len(strip) < WIDEST:
                continue
            try:
                image = fitted(thickened(strip[:, start:stop]))
            except NoInk:
                continue
            sides = [min(max(origin + column * share, left), right) for column in (start, stop)]
            place = sides[0] / wide, top / tall, (sides[1] - sides[0]) / wide, (bottom - top) / tall
            aspect = (stop - start) / len(strip)
            yield Piece(number, first, last, Box(*map(float, place)), aspect, image)


def _cuts(strip: Levels) -> list[int]:
    """The columns at which ink [h, w] may be cut: its sides, and where it has the least ink."""
    height, width = strip.shape
    sides = [0, width]
    if width < UNCUT * height:
        return sides
    reach = max(height // 16, 1)
    amount = np.convolve(strip.sum(axis=0), np.ones(reach) / reach, mode="same")
    margin = max(int(NARROWEST * height), 1)
    inner = np.arange(margin, width - margin)
    least = [x for x in inner if amount[x] == amount[max(x - 2 * reach, 0) : x + 2 * reach + 1].min()]
    apart: list[int] = []
    for x in sorted(least, key=lambda x: amount[x]):
        if len(apart) < CUTS and all(abs(x - other) > margin for other in apart):
            apart.append(int(x))
    return sorted([*sides, *apart])
