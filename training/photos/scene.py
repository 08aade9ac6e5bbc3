"""Scenes: a sheet on a desk seen from the side, a thumb in the corner, and what photographs of anything show."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from training.photos.canvas import (
    between,
    centred,
    covered,
    happens,
    lit,
    pick,
    size_of,
    tinted,
    to_field,
    to_image,
    to_scene,
)
from training.photos.noise import fractal, smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.photos.canvas import Field, Random, Scene, Size, Surface

    Corners = NDArray[np.float64]
    """Four corners [4, 2], x and y, clockwise from the upper left."""

SKIN = ((0.88, 0.68, 0.58), (0.8, 0.58, 0.46), (0.62, 0.42, 0.32), (0.42, 0.28, 0.21), (0.93, 0.76, 0.68))


def wood(size: Size, random: Random) -> Scene:
    """A wooden desk."""
    colour = pick(random, ((0.6, 0.42, 0.27), (0.42, 0.28, 0.18), (0.74, 0.58, 0.4), (0.3, 0.2, 0.14)))
    grain = smooth(size, 70, random, stretch=25) + 0.7 * fractal(size, 6, random, 4, stretch=10)
    return tinted(np.clip(1 + between(random, (0.05, 0.16)) * grain, 0.3, 1.5), colour)


def cloth(size: Size, random: Random) -> Scene:
    """A table cloth or a dark table: one colour, with a little texture."""
    colour = pick(
        random, ((0.16, 0.17, 0.19), (0.35, 0.36, 0.38), (0.25, 0.32, 0.42), (0.5, 0.24, 0.22), (0.1, 0.1, 0.1))
    )
    texture = 0.08 * smooth(size, max(size) / 4, random) + 0.06 * fractal(size, 4, random, 4)
    return tinted(np.clip(1 + texture, 0.3, 1.6), colour)


def on_desk(sheet: Scene, random: Random) -> Scene:
    """A sheet that lies on a desk, turned, and seen from the side."""
    size = size_of(sheet)
    desk = pick(random, (wood, wood, cloth))(size, random)
    corners = _quadrilateral(size, random)
    matrix = homography(corners, size)
    height, width = size
    kind = Image.Transform.PERSPECTIVE
    seen = to_image(sheet).transform((width, height), kind, matrix, Image.Resampling.BICUBIC)
    inside = Image.new("L", (width, height), 255).transform((width, height), kind, matrix, Image.Resampling.BILINEAR)
    inside = inside.filter(ImageFilter.GaussianBlur(0.8))
    away = [round(between(random, (-0.02, 0.02)) * width), round(between(random, (0.004, 0.025)) * height)]
    fallen = to_field(inside.filter(ImageFilter.GaussianBlur(between(random, (3, 14)))))
    fallen = np.roll(fallen, away[::-1], axis=(0, 1))
    desk = lit(desk, 1 - np.float32(between(random, (0.25, 0.6))) * fallen)
    return covered(desk, to_field(inside), to_scene(seen))


def homography(corners: Corners, size: Size) -> tuple[float, ...]:
    """Eight numbers for Pillow's perspective transform, by which a page of `size` gets these corners."""
    height, width = size
    page = ((0, 0), (width, 0), (width, height), (0, height))
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, page, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(wanted, float)))


def thumb(scene: Scene, random: Random) -> Scene:
    """A thumb that holds the sheet in one of its corners."""
    size = size_of(scene)
    rows, columns = centred(size)
    side = min(size)
    up, left = (pick(random, (-1, 1)) for _ in range(2))
    angle = np.arctan2(up, left) + between(random, (-0.5, 0.5))
    tip = side * between(random, (0.24, 0.36))
    wide, long = side * between(random, (0.09, 0.14)), side * between(random, (0.3, 0.5))
    corner_y, corner_x = up * size[0] / 2, left * size[1] / 2
    along = (columns - np.float32(corner_x)) * np.float32(np.cos(angle)) + (rows - np.float32(corner_y)) * np.float32(
        np.sin(angle)
    )
    across = (rows - np.float32(corner_y)) * np.float32(np.cos(angle)) - (columns - np.float32(corner_x)) * np.float32(
        np.sin(angle)
    )
    along = along + np.float32(tip)  # 0 at the tip, growing towards the hand
    body = np.hypot(np.minimum(along - np.float32(wide), 0), across)
    growing = 1 + 0.25 * np.clip(along / np.float32(long), 0, 2)
    inside: Field = (wide * growing - body).astype(np.float32)
    soft = np.float32(between(random, (1.5, 6)))
    coverage = np.clip(inside / soft + np.float32(0.5), 0, 1)
    fallen = np.clip((inside + np.float32(0.05 * side)) / np.float32(0.06 * side), 0, 1)
    scene = lit(scene, 1 - np.float32(between(random, (0.15, 0.45))) * fallen)
    round_light = np.clip(np.float32(0.55) + np.float32(0.55) * np.sqrt(np.clip(inside / np.float32(wide), 0, 1)), 0, 1)
    skin = tinted(round_light * (1 + 0.03 * smooth(size, 60, random)), pick(random, SKIN))
    scene = covered(scene, coverage, skin)
    if happens(random, 0.7):
        nail = _ellipse(along - np.float32(0.75 * wide), across, 0.55 * wide, 0.62 * wide)
        scene = covered(scene, nail * np.float32(0.5), (0.93, 0.74, 0.7))
    return scene


def photograph(name: str) -> Surface:
    """A part of one of scikit-learn's sample images, of 60 to 300 pixels, enlarged to the size of a page."""

    def surface(size: Size, random: Random) -> Scene:
        image = _sample(name)
        height, width = size
        part = between(random, (60, 300)) / max(size)
        wide, tall = width * part, height * part
        left, top = between(random, (0, image.width - wide)), between(random, (0, image.height - tall))
        return to_scene(image.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + wide, top + tall)))

    return surface


def stone(size: Size, random: Random) -> Scene:
    """A texture of stone, clouds or leaves: noise of all sizes in two colours."""
    level = np.clip(0.5 + 0.35 * fractal(size, between(random, (2, 8)), random, 6), 0, 1)
    one, other = (random.uniform(0.05, 0.95, 3) for _ in range(2))
    return covered(tinted(np.ones(size, np.float32), tuple(one)), level, tuple(other))


def _quadrilateral(size: Size, random: Random) -> Corners:
    """Corners of a sheet on a desk, all of them in the picture or nearly so."""
    height, width = size
    scale = between(random, (0.6, 0.84))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float) * (scale * width / 2, scale * height / 2)
    corners[:2, 0] *= between(random, (0.68, 0.95))  # what is farther away is smaller
    corners[:2, 1] *= between(random, (0.75, 0.98))
    angle = np.deg2rad(between(random, (-18, 18)))
    cos, sin = np.cos(angle), np.sin(angle)
    corners = corners @ np.array([[cos, sin], [-sin, cos]])
    spare = np.array([width, height]) * (1 - scale) / 2
    return corners + np.array([width, height]) / 2 + spare * random.uniform(-0.4, 0.4, 2)


def _ellipse(down: Field, across: Field, tall: float, wide: float) -> Field:
    """Coverage by an ellipse around the place 0, with soft edges."""
    inside = 1 - np.hypot(down / np.float32(tall), across / np.float32(wide))
    return np.clip(inside * np.float32(8) + np.float32(0.5), 0, 1)


@cache
def _sample(name: str) -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(name))
