"""Writing: where marks are on the page, from one digit in the middle to a line of them or a field of cells."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.photos.canvas import between, happens, pick
from training.photos.drawing import level_line
from training.photos.glyph import printed
from training.photos.pen import Ink, strokes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from training.photos.canvas import Field, Random, Range, Size
    from training.photos.drawing import Drawing

    Write = Callable[[Size, "Hand", Random], Field]
    """Coverage float32 [h, w] in 0…1 of a page by ink."""

EDGE = 0.03
"""Marks stay away from the edge of the page by this share of its shorter side."""
WIDEST = 0.9
"""A line fills at most this share of the page."""


class Hand(NamedTuple):
    """How somebody writes on one page."""

    ink: Ink
    height_px: float
    angle_deg: float
    away: float
    """How far from the middle of the page a mark may be, relative to the page's sides."""


def nothing(size: Size, hand: Hand, random: Random) -> Field:  # noqa: ARG001 - it is a Write
    """A page that nobody wrote on."""
    return np.zeros(size, np.float32)


def one(drawing: Drawing) -> Write:
    """One drawing near the middle."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        mark = strokes(drawing, hand.height_px, hand.ink, random, hand.angle_deg)
        return placed(mark, size, anywhere(mark, size, hand.away, random))

    return write


def stamped(mark_of: Callable[[float], Field]) -> Write:
    """A printed mark near the middle, made for a height in pixels."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        mark = mark_of(hand.height_px)
        wide = mark.shape[1] / (WIDEST * size[1])
        if wide > 1:
            mark = mark_of(hand.height_px / wide)
        return placed(mark, size, anywhere(mark, size, hand.away, random))

    return write


def number(drawings: Sequence[Drawing], gaps: Range | None) -> Write:
    """Digits from left to right on one line.

    The gaps between them are relative to their height; without, each digit touches the one before.
    """

    def write(size: Size, hand: Hand, random: Random) -> Field:
        ink = _same_pen(hand, random)
        heights = random.uniform(0.9, 1.1, len(drawings))
        angles = hand.angle_deg + random.uniform(-4, 4, len(drawings))
        spaces = random.uniform(*(gaps or (-0.03, 0.0)), len(drawings) - 1)

        def line(height_px: float) -> Field:
            marks = [
                strokes(drawing, height_px * height, ink, random, angle)
                for drawing, height, angle in zip(drawings, heights, angles, strict=True)
            ]
            apart = [0.0 if gaps else -blank(*pair) for pair in pairwise(marks)]
            return joined(marks, height_px * spaces + apart)

        return stamped(line)(size, hand, random)

    return write


def at_edge(drawing: Drawing) -> Write:
    """One drawing that one edge of the page touches, or cuts a little."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        mark = strokes(drawing, hand.height_px, hand.ink, random, hand.angle_deg)
        middle = list(anywhere(mark, size, hand.away, random))
        axis = int(random.integers(2))
        inside = mark.shape[axis] * between(random, (0.46, 0.5))  # from the edge to the drawing's middle
        middle[axis] = pick(random, (inside, size[axis] - inside))
        return placed(mark, size, (middle[0], middle[1]))

    return write


def underlined(drawing: Drawing) -> Write:
    """One drawing with a line below it, as one marks a result, or above it."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        ink = _same_pen(hand, random)
        mark = strokes(drawing, hand.height_px, ink, random, hand.angle_deg)
        row, column = anywhere(mark, size, hand.away, random)
        length = between(random, (1, 1.6)) * max(mark.shape[1], 0.4 * hand.height_px)
        width = ink.widths[0] * hand.height_px / length
        line = strokes(level_line(random), length, ink._replace(widths=(width, width)), random)
        apart = (mark.shape[0] + line.shape[0]) / 2 + between(random, (0.03, 0.2)) * hand.height_px
        below = apart if happens(random, 0.8) else -apart
        return np.maximum(placed(mark, size, (row, column)), placed(line, size, (row + below, column)))

    return write


def date(drawings: Sequence[Drawing]) -> Write:
    """The middle one of three digits, and of the others what the page's left and right edges leave."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        height, width = size
        ink = _same_pen(hand, random)
        left, digit, right = (
            strokes(drawing, hand.height_px * between(random, (0.9, 1.1)), ink, random, hand.angle_deg)
            for drawing in drawings
        )
        row, column = anywhere(digit, size, hand.away, random)
        page = placed(digit, size, (row, column))
        room = max((width - digit.shape[1]) / 2 - 0.06 * width, 8)
        for mark, sign in ((left, -1), (right, 1)):
            seen = min(between(random, (0.2, 0.75)) * mark.shape[1], room)
            middle = width / 2 + sign * (width / 2 - seen + mark.shape[1] / 2)
            page = np.maximum(page, placed(mark, size, (row + between(random, (-0.05, 0.05)) * height, middle)))
        return page

    return write


def cells(drawings: Sequence[Drawing], crop: float) -> Write:
    """Nine digits in squares, three by three, of which the page shows `crop` times the one in the middle."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        side = min(size) / crop
        ink = _same_pen(hand, random)
        page = np.zeros(size, np.float32)
        for index, drawing in enumerate(drawings):
            down, across = divmod(index, 3)
            jitter = random.uniform(-0.08, 0.08, 2)
            row = size[0] / 2 + side * (down - 1 + jitter[0])
            column = size[1] / 2 + side * (across - 1 + jitter[1])
            reach = side * 0.45
            if -reach < row < size[0] + reach and -reach < column < size[1] + reach:
                height = hand.height_px * between(random, (0.85, 1.15))
                mark = strokes(drawing, height, ink, random, hand.angle_deg + between(random, (-5, 5)))
                page = np.maximum(page, placed(mark, size, (row, column)))
        return page

    return write


def comb(drawings: Sequence[Drawing]) -> Write:
    """Digits in the boxes of a form, one in each."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        side, ink = box_px(size, len(drawings)), _same_pen(hand, random)
        page = np.zeros(size, np.float32)
        for index, drawing in enumerate(drawings):
            height_px = side * between(random, (0.5, 0.85))
            mark = strokes(drawing, height_px, ink, random, hand.angle_deg + between(random, (-4, 4)))
            row, column = random.uniform(-0.06, 0.06, 2) * side
            column += size[1] / 2 + side * (index + 0.5 - len(drawings) / 2)
            page = np.maximum(page, placed(mark, size, (size[0] / 2 + row, column)))
        return page

    return write


def box_px(size: Size, count: int) -> float:
    """The side of each of `count` boxes in a row on a page of a form."""
    return min(0.55 * size[0], WIDEST * size[1] / count)


def printed_number(text: str, fonts: Sequence[str], gaps: Range) -> Write:
    """Digits of a font; the gaps between them are relative to their height."""

    def write(size: Size, hand: Hand, random: Random) -> Field:
        name, gap = pick(random, fonts), between(random, gaps)

        def line(height: float) -> Field:
            marks = [printed(character, name, height) for character in text]
            return joined(marks, np.full(len(marks) - 1, gap * height))

        return stamped(line)(size, hand, random)

    return write


def blank(left: Field, right: Field) -> float:
    """Pixels by which two marks side by side can be moved together until their ink touches, at most one's width."""
    rows = min(left.shape[0], right.shape[0])
    spaces = []
    for mark in (left[-rows:, ::-1], right[-rows:]):
        ink = mark > 0.3
        spaces.append(np.where(ink.any(axis=1), ink.argmax(axis=1), mark.shape[1]))
    return float(min((spaces[0] + spaces[1]).min(), left.shape[1], right.shape[1]))


def joined(marks: Sequence[Field], spaces: NDArray[np.float64]) -> Field:
    """Marks on one base line, [h, w], with spaces in pixels between them; below 0 they overlap."""
    starts = np.rint(np.cumsum([0, *(mark.shape[1] + space for mark, space in zip(marks, spaces, strict=False))]))
    starts = (starts - starts.min()).astype(int)
    height = max(mark.shape[0] for mark in marks)
    width = max(start + mark.shape[1] for start, mark in zip(starts, marks, strict=True))
    line = np.zeros((height, int(width)), np.float32)
    for start, mark in zip(starts, marks, strict=True):
        place = line[height - mark.shape[0] :, start : start + mark.shape[1]]
        np.maximum(place, mark, out=place)
    return line


def placed(mark: Field, size: Size, middle: tuple[float, float]) -> Field:
    """An empty page with the mark on it, its middle at a row and a column; what lies outside is cut off."""
    page = np.zeros(size, np.float32)
    starts = [round(centre - side / 2) for centre, side in zip(middle, mark.shape, strict=True)]
    ends = [start + side for start, side in zip(starts, mark.shape, strict=True)]
    on_page = tuple(slice(max(start, 0), max(end, 0)) for start, end in zip(starts, ends, strict=True))
    there = page[on_page]
    offsets = [max(-start, 0) for start in starts]
    there[:] = mark[offsets[0] : offsets[0] + there.shape[0], offsets[1] : offsets[1] + there.shape[1]]
    return page


def anywhere(mark: Field, size: Size, away: float, random: Random) -> tuple[float, float]:
    """A row and a column for the mark's middle, so that it is whole on the page if it fits."""
    places = []
    for page, side in zip(size, mark.shape, strict=True):
        room = max((page - side) / 2 - EDGE * min(size), 0)
        places.append(page / 2 + float(np.clip(away * page * random.uniform(-1, 1), -room, room)))
    return places[0], places[1]


def _same_pen(hand: Hand, random: Random) -> Ink:
    """The ink with one width, since one pen wrote all of it."""
    width = between(random, hand.ink.widths)
    if happens(random, 0.2):
        return hand.ink._replace(widths=(0.95 * width, 1.05 * width))
    return hand.ink._replace(widths=(width, width))
