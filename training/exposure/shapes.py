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
    """Polygons and stars, filled or in outline, filled ellipses, faces and several dots: uint8 [n, 28, 28]."""
    found = []
    for _ in range(n):
        page, draw = blank()
        kind = random.integers(0, 9)
        if kind == 0:
            radii = PAGE / 4 * random.uniform(0.4, 1, 2)
            draw.ellipse((*(PAGE / 2 - radii), *(PAGE / 2 + radii)), fill=255)
        elif kind == 1:
            for x, y in corners(random.uniform(-1, 1, (int(random.integers(2, 9)), 2))):
                radius = random.uniform(2, 9)
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        elif kind == 8:
            _draw_face(draw, random)
        else:
            polygon = _polygon(random)
            if kind < 4:
                draw.polygon(corners(polygon), fill=255)
            else:
                draw_lines(draw, [np.concatenate([polygon, polygon[:2]])], pen_width(random))
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
