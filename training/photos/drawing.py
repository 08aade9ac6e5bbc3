"""Drawings: digits of MNIST, shapes, scribbles, faces and blots on a small grid, which a pen draws large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from training.images import FULL_INK, SIDE
from training.photos.canvas import between, happens, pick, to_field
from training.photos.noise import smooth

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from training.photos.canvas import Field, Random

    Drawing = Field
    """Ink float32 [GRID, GRID] in 0…1, inside the DRAWN pixels in the middle, or nearly so."""
    Points = NDArray[np.float64]
    """Corners of a line, [n, 2], x and y in -1…1."""

MARGIN: Final = 2
"""Pixels of MNIST added on each side, so that a digit can be turned."""
FINER: Final = 4
"""Pixels of a drawing for each of MNIST's."""
GRID: Final = (SIDE + 2 * MARGIN) * FINER
DRAWN: Final = 20 * FINER
"""The side of the square that a digit fills."""
BLOT: Final = 3.5
"""Ink farther than so many of MNIST's pixels from the paper is no stroke: it fills the loops of a 6, an 8 or a 9."""


def is_strokes(image: NDArray[np.uint8]) -> bool:
    """Whether a digit uint8 [28, 28] can be drawn by a pen along the middle of its strokes."""
    return bool(ndimage.distance_transform_edt(np.pad(image > 0.4 * FULL_INK, 1)).max() < BLOT)


def of_digit(image: NDArray[np.uint8]) -> Drawing:
    """A digit uint8 [28, 28] with smooth outlines."""
    ink = np.pad(image, MARGIN).astype(np.float32) / np.float32(FULL_INK)
    large = np.asarray(Image.fromarray(ink).resize((GRID, GRID), Image.Resampling.BICUBIC))
    return np.clip(ndimage.gaussian_filter(large, 0.45 * FINER), 0, 1)


def of_page(page: Image.Image) -> Drawing:
    """White on black of any size, fitted into the middle."""
    box = page.getbbox()
    if box is None:
        return np.zeros((GRID, GRID), np.float32)
    page = page.crop(box)
    scale = DRAWN / max(page.size)
    width, height = (max(round(side * scale), 1) for side in page.size)
    grid = Image.new("L", (GRID, GRID))
    grid.paste(page.resize((width, height), Image.Resampling.BOX), ((GRID - width) // 2, (GRID - height) // 2))
    return to_field(grid)


def wobbled(drawing: Drawing, random: Random, slant: float = 0.0, wobble_px: float = 1.5) -> Drawing:
    """A drawing as an unsteady hand makes it: slanted (columns for each row), its lines displaced by `wobble_px`."""
    y, x = np.mgrid[:GRID, :GRID].astype(np.float32)
    down, across = (wobble_px * smooth((GRID, GRID), 5, random) for _ in range(2))
    return ndimage.map_coordinates(drawing, [y + down, x + across + slant * (y - GRID / 2)], order=1).astype(np.float32)


def scribble(random: Random) -> Drawing:
    """One line that crosses itself many times, the sum of a few circular motions."""
    time = np.linspace(0, between(random, (0.7, 1)), 300)[:, None]
    harmonics = np.arange(1, random.integers(5, 9))
    size = random.normal(0, 1, (2, len(harmonics))) / np.sqrt(harmonics)
    phase = random.uniform(0, 2 * np.pi, (2, len(harmonics)))
    points = (size * np.cos(2 * np.pi * time[..., None] * harmonics + phase)).sum(-1)  # [300, 2]
    return _painted(_line(_filling(points)))


def hatching(random: Random) -> Drawing:
    """A line to and fro, as one crosses something out."""
    turns = int(random.integers(7, 16))
    along = np.linspace(-1, 1, turns) + random.normal(0, 0.06, turns)
    across = np.where(np.arange(turns) % 2, 1, -1) * random.uniform(0.4, 1, turns)
    angle = between(random, (0, np.pi))
    return _painted(_line(_filling(_turned(np.stack([along, across], axis=1), angle))))


def polygon(corners: Points, *, filled: bool) -> Callable[[Random], Drawing]:
    """A shape drawn by hand: corners a little displaced, the whole turned a little."""

    def drawn(random: Random) -> Drawing:
        points = _turned(
            corners + random.normal(0, 0.3 / max(len(corners), 7), corners.shape), between(random, (-0.3, 0.3))
        )
        points = _filling(points)
        if filled:
            return _painted(_area(points))
        return wobbled(_painted(_line(np.concatenate([points, points[:2]]))), random, wobble_px=1)

    return drawn


def level_line(random: Random) -> Drawing:
    """A line from left to right, nearly level."""
    slope = between(random, (-0.06, 0.06))
    return wobbled(_painted(_line(np.array([(-1.0, slope), (1.0, -slope)]))), random, wobble_px=1)


def smiley(random: Random) -> Drawing:
    """A round face: two eyes, and a mouth that may smile."""
    eye, high, mouth = between(random, (0.06, 0.12)), between(random, (-0.4, -0.2)), between(random, (0.3, 0.55))
    smiles = happens(random, 0.7)

    def paint(pen: ImageDraw.ImageDraw) -> None:
        _circle(pen, 0, 0, 1)
        for side in (-0.35, 0.35):
            _circle(pen, side, high, eye, filled=True)
        start, middle = (20, 0.15) if smiles else (200, 0.65)
        pen.arc(_box(0, middle, mouth), start, start + 140, fill=255, width=_LINE)

    return wobbled(_painted(paint), random)


def cat(random: Random) -> Drawing:
    """A cat's face: ears, eyes, nose and whiskers."""
    ear, high = between(random, (0.3, 0.45)), between(random, (-0.1, 0.1))

    def paint(pen: ImageDraw.ImageDraw) -> None:
        _circle(pen, 0, 0.2, 0.75)
        for side in (-1, 1):
            points = [(0.75 * side, 0.0), (0.7 * side, -1.0), (side * (0.7 - ear), -0.5)]
            _line(np.array(points))(pen)
            _circle(pen, 0.3 * side, high, 0.08, filled=True)
            for low in (0.35, 0.5):
                _line(np.array([(0.15 * side, low), (1.0 * side, low + 0.1)]))(pen)
        _line(np.array([(-0.1, 0.3), (0.1, 0.3), (0, 0.42), (-0.1, 0.3)]))(pen)

    return wobbled(_painted(paint), random)


def blot(random: Random) -> Drawing:
    """A drop that ran a little, with splashes."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radii = np.full(120, 0.75)
    for waves in range(2, 8):
        radii += random.normal(0, 0.25 / waves) * np.cos(waves * angles + random.uniform(0, 2 * np.pi))
    points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    splashes = random.uniform(-0.95, 0.95, (int(random.integers(0, 5)), 2))

    def paint(pen: ImageDraw.ImageDraw) -> None:
        _area(_filling(points))(pen)
        for x, y in splashes:
            _circle(pen, x, y, 0.05, filled=True)

    return _painted(paint)


def spill(random: Random) -> Drawing:
    """Liquid that spread unevenly: where noise, less and less from the middle outwards, is high."""
    y, x = np.mgrid[:GRID, :GRID] / (GRID / 2) - 1
    level = smooth((GRID, GRID), pick(random, (3, 4, 5)), random) + 1.4 - 2.8 * np.hypot(x, y)
    page = Image.fromarray((np.clip(level * 8 + 0.5, 0, 1) * 255).astype(np.uint8))
    return of_page(page)


_LINE: Final = 3 * FINER * 4 // 2
_FINE: Final = 4
"""Drawings are painted so many times finer, and reduced."""


def _painted(paint: Callable[[ImageDraw.ImageDraw], None]) -> Drawing:
    page = Image.new("L", (GRID * _FINE, GRID * _FINE))
    paint(ImageDraw.Draw(page))
    return to_field(page.reduce(_FINE))


def _pixels(points: Points) -> Points:
    """From -1…1 to pixels of what is painted, leaving room for the line."""
    return GRID * _FINE / 2 + points * (DRAWN * _FINE / 2 - _LINE / 2)


def _line(points: Points) -> Callable[[ImageDraw.ImageDraw], None]:
    """Paints a line through the points."""
    corners = [tuple(point) for point in _pixels(points)]
    return lambda pen: pen.line(corners, fill=255, width=_LINE, joint="curve")


def _area(points: Points) -> Callable[[ImageDraw.ImageDraw], None]:
    """Paints the area between the points."""
    corners = [tuple(point) for point in _pixels(points)]
    return lambda pen: pen.polygon(corners, fill=255)


def _filling(points: Points) -> Points:
    """Points moved and scaled, aspect kept, so that they fill -1…1 along one axis."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) * 2 / (high - low).max()


def _turned(points: Points, angle: float) -> Points:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = _pixels(np.array([x - radius, y - radius, x + radius, y + radius]))
    return left, top, right, bottom


def _circle(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, *, filled: bool = False) -> None:
    pen.ellipse(_box(x, y, radius), fill=255 if filled else None, outline=255, width=1 if filled else _LINE)
