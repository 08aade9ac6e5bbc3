"""Pens: strokes of a drawing in the width of a pen, and the ink they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from training.photos.canvas import absorbed, between, covered
from training.photos.drawing import DRAWN, FINER, GRID
from training.photos.noise import smooth
from training.photos.skeleton import skeleton

if TYPE_CHECKING:
    from training.photos.canvas import Colour, Field, Random, Range, Scene
    from training.photos.drawing import Drawing

OWN_WIDTH: Final = 0.11
"""A pen at least so wide, relative to the height of a digit, draws the strokes as wide as they are in MNIST."""
LEVELS: Final = (0.36, 0.5)
"""The level of a drawing at which strokes of their own width end."""
BUMPS_PX: Final = (2.0, 4.5)
"""Distances of the bumps of the ground that grain shows."""
ROUGH_PX: Final = 4.0
"""How far bumps displace the edges of strokes, for a grain of 1."""
RISE: Final = 1.6
"""Pixels of MNIST within which strokes rise to full ink."""
LINE_BIAS: Final = 1.0
"""The distance, in pixels of a drawing, that smoothing leaves in the middle of a line."""


class Ink(NamedTuple):
    """What a pen leaves on paper."""

    colour: Colour
    widths: Range
    """Width of the strokes, relative to the height of a digit."""
    strength: Range = (0.85, 1.0)
    """How much of the ground is covered in the middle of a stroke."""
    grain: float = 0.0
    """How much of the ground shows through as grain, 0…1: pencil and chalk touch its bumps alone."""
    opaque: bool = False
    """Chalk and light on a screen cover the ground; other inks take light away."""

    def on(self, scene: Scene, coverage: Field) -> Scene:
        """The scene with ink where the coverage, float32 [h, w], is above 0."""
        return (covered if self.opaque else absorbed)(scene, coverage, self.colour)


BALLPOINTS = (
    Ink((0.10, 0.16, 0.52), (0.04, 0.09), (0.75, 0.95), 0.1),
    Ink((0.14, 0.22, 0.62), (0.04, 0.09), (0.75, 0.95), 0.1),
    Ink((0.12, 0.12, 0.14), (0.04, 0.09), (0.75, 0.95), 0.1),
)
FELT_PENS = (
    Ink((0.06, 0.06, 0.07), (0.09, 0.14)),
    Ink((0.08, 0.13, 0.45), (0.09, 0.14)),
    Ink((0.05, 0.05, 0.06), (0.06, 0.11)),
)
BROAD_PENS = tuple(pen._replace(widths=(OWN_WIDTH, OWN_WIDTH)) for pen in FELT_PENS)
"""Pens for drawings with areas, which have no middle lines."""
PENCIL = Ink((0.3, 0.3, 0.32), (0.04, 0.085), (0.7, 0.9), 0.45)
PENS = (*BALLPOINTS, *FELT_PENS)
CHALKS = (
    Ink((0.93, 0.93, 0.9), (0.08, 0.14), (0.75, 0.95), 0.5, opaque=True),
    Ink((0.95, 0.9, 0.6), (0.08, 0.14), (0.75, 0.95), 0.5, opaque=True),
)
MARKERS = (
    Ink((0.08, 0.08, 0.1), (0.07, 0.13), (0.85, 1.0), 0.08),
    Ink((0.08, 0.16, 0.6), (0.07, 0.13), (0.85, 1.0), 0.08),
    Ink((0.72, 0.1, 0.12), (0.07, 0.13), (0.85, 1.0), 0.08),
    Ink((0.06, 0.42, 0.22), (0.07, 0.13), (0.85, 1.0), 0.08),
)
LIGHTS = (Ink((0.95, 0.95, 0.97), (0.06, 0.14), (0.95, 1.0), opaque=True),)
"""Strokes on a dark screen."""
PRINT = Ink((0.1, 0.1, 0.1), (0.14, 0.14), (0.9, 1.0))


def strokes(drawing: Drawing, height_px: float, ink: Ink, random: Random, angle_deg: float = 0.0) -> Field:
    """A drawing in ink: coverage float32 [h, w] in 0…1, without empty borders.

    `height_px` is what the 20 pixels become that a digit fills in MNIST; the angle is anticlockwise.
    """
    width = between(random, ink.widths)
    own = width >= OWN_WIDTH
    side = round(height_px * GRID / DRAWN)
    field = drawing if own else _distance(drawing)
    large = _enlarged(field, side, angle_deg, outside=0 if own else GRID)
    edge = between(random, (1.5, 3.0))
    if own:
        depth = (large - between(random, LEVELS)) * np.float32(RISE * FINER * side / GRID)
    else:
        pressure = 1 + 0.08 * smooth(large.shape, 5, random)
        depth = pressure * np.float32(width * height_px / 2) - large * np.float32(side / GRID)
    bumps = smooth(large.shape, side / between(random, BUMPS_PX), random) if ink.grain else np.zeros((1, 1), np.float32)
    depth = depth + np.float32(ROUGH_PX * ink.grain) * bumps
    density = np.float32(between(random, ink.strength)) * (1 + 0.06 * smooth(large.shape, 7, random))
    density = np.clip(density * np.clip(1 - ink.grain * (0.45 + 0.7 * bumps), 0, 1), 0, 1)
    return trimmed(np.clip(depth / np.float32(edge) + np.float32(0.5), 0, 1) * density)


def trimmed(mark: Field) -> Field:
    """The mark without rows and columns that are empty at its borders; one pixel if nothing is on it."""
    slices = []
    for axis in (1, 0):
        used = np.flatnonzero(mark.max(axis=axis) > 0.02)
        slices.append(slice(used[0], used[-1] + 1) if len(used) else slice(0, 1))
    return mark[tuple(slices)]


def _distance(drawing: Drawing) -> Field:
    """Distances, in pixels of the drawing, from the middle lines of its strokes."""
    lines = skeleton(drawing > 0.4)
    if not lines.any():
        return np.full(drawing.shape, GRID, np.float32)
    away = ndimage.distance_transform_edt(~lines).astype(np.float32)
    return ndimage.gaussian_filter(away, 1.6) - np.float32(LINE_BIAS)


def _enlarged(field: Field, side: int, angle_deg: float, outside: float) -> Field:
    """A square field, turned about its middle and enlarged to [side, side]."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    middle = field.shape[0] / 2
    matrix = (cos, -sin, middle - (cos - sin) * middle, sin, cos, middle - (sin + cos) * middle)
    picture = Image.fromarray(field).transform(
        field.shape, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=outside
    )
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
