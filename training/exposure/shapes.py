"""Filled and outlined shapes, faces, several dots, and blocks like those of QR codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.exposure.page import PAGE, blank, corners, draw_lines, pen_width, prepared
from training.photos.code import FINDER

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import ImageDraw

    from training.images import Images


def shapes(n: int, random: np.random.Generator) -> Images:
    """Polygons, stars, arrows and the like, filled or in outline, ellipses, faces, several dots: uint8 [n, 28, 28]."""
    found = []
    for _ in range(n):
        page, draw = blank()
        match random.integers(0, 13):
            case 0:
                radii = PAGE / 4 * random.uniform(0.4, 1, 2)
                draw.ellipse((*(PAGE / 2 - radii), *(PAGE / 2 + radii)), fill=255)
            case 1:
                for x, y in corners(random.uniform(-1, 1, (int(random.integers(2, 9)), 2))):
                    radius = random.uniform(2, 9)
                    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
            case 2 | 3:
                _draw_face(draw, random)
            case 4:
                draw.polygon(corners(_wedge(random)), fill=255)
            case 5 | 6:
                draw.polygon(corners(_polygon(random)), fill=255)
            case 7 | 8 | 9:
                _draw_outline(draw, _polygon(random), random)
            case 10:
                draw.polygon(corners(_profile(random)), fill=255)
            case _:
                _draw_outline(draw, _profile(random), random)
        found.append(prepared(page))
    return np.stack(found)


def blocks(n: int, random: np.random.Generator) -> Images:
    """Grids of 4 to 33 black and white blocks a side, some with the corners of QR codes: uint8 [n, 28, 28]."""
    found = []
    for _ in range(n):
        side = int(random.integers(4, 34))
        grid = (random.random((side, side)) < random.uniform(0.3, 0.7)).astype(np.float32)
        if side >= 17 and random.random() < 0.5:
            grid[:8, :8], grid[:8, -8:], grid[-8:, :8] = FINDER, FINDER[:, ::-1], FINDER[::-1]
        found.append(prepared(np.kron(grid, np.ones((-(-60 // side),) * 2, np.float32))))
    return np.stack(found)


def _draw_face(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """A ring with two to four dots or short arcs in it."""
    turns = np.linspace(0, 2 * np.pi, 24)
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    draw_lines(draw, [ring * random.uniform(0.8, 1, 2)], pen_width(random))
    for _ in range(int(random.integers(2, 5))):
        middle, size, first = random.uniform(-0.45, 0.45, 2), random.uniform(0.02, 0.35), random.integers(0, 12)
        draw_lines(draw, [middle + size * ring[first : first + random.integers(4, 12)]], pen_width(random))


def _draw_outline(draw: ImageDraw.ImageDraw, points: NDArray[np.floating], random: np.random.Generator) -> None:
    draw_lines(draw, [np.concatenate([points, points[:2]])], pen_width(random))


def _wedge(random: np.random.Generator) -> NDArray[np.floating]:
    """Corners [3, 2] in -1…1 of a narrow triangle, such as what is seen of a sheet's edge."""
    base, tip, down = random.uniform(0.15, 0.6), random.uniform(-0.4, 0.4), random.choice([-1, 1])
    return np.array([[-base, down], [base, down * random.uniform(0.8, 1)], [tip, -down]])


def _polygon(random: np.random.Generator) -> NDArray[np.floating]:
    """Corners [n, 2] in -1…1 around the middle: regular, irregular, or with every second one drawn in."""
    n = int(random.integers(3, 9))
    turn = random.choice([0, 0.5, random.random()])
    radii = np.full(n, 1.0)
    match random.integers(0, 3):
        case 1:
            radii = random.uniform(0.3, 1, n)
        case 2:
            n *= 2
            radii = np.tile([1, random.uniform(0.3, 0.7)], n // 2)
    angles = 2 * np.pi * (np.arange(n) + turn) / n
    return radii[:, None] * np.stack(
        [np.cos(angles), np.sin(angles) * random.choice([1, random.uniform(0.5, 1)])], axis=1
    )


def _profile(random: np.random.Generator) -> NDArray[np.floating]:
    """Corners [n, 2] in -1…1 of an outline that is alike on both sides of its axis, such as an arrow's or a house's."""
    n = int(random.integers(2, 5))
    along, across = np.sort(random.uniform(-1, 1, n + 1)), random.uniform(0.1, 0.9, n)
    if random.random() < 0.5:  # in steps
        along, across = np.repeat(along, 2)[1:-1], np.repeat(across, 2)
    side = np.stack([across, along[: len(across)]], axis=1)
    tip = [[0, along[0] - 0.5]] if random.random() < 0.5 else np.empty((0, 2))
    angle = random.choice([0, 0.5, 1, 1.5, random.uniform(0, 2)]) * np.pi
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.concatenate([tip, side, (side * [-1, 1])[::-1]]) @ turn
