"""Settings: paper, pens, light and camera of a family of pictures, and the steps from a blank page to a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from training.photos import light, paper
from training.photos.camera import Camera
from training.photos.canvas import between, happens, pick
from training.photos.pen import PENS
from training.photos.writing import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

    from training.photos.canvas import Field, Layer, Random, Range, Size, Surface
    from training.photos.pen import Ink
    from training.photos.writing import Write

SHORTER_PX = (600, 720)
"""The shorter side of a picture."""


@dataclass(frozen=True)
class Setting:
    """How a page is made, written on, lit and photographed; each range is one of numbers drawn evenly."""

    paper: Surface = paper.white
    inks: tuple[Ink, ...] = PENS
    height: Range = (0.38, 0.68)
    """Height of a digit, relative to the shorter side of the page."""
    angle_deg: Range = (-6, 6)
    away: float = 0.1
    """How far from the middle the digit may be, relative to the page's sides."""
    aspect: Range = (1.0, 1.33)
    """The longer side for each pixel of the shorter one."""
    wide: bool = False
    """Whether the longer side is the width; otherwise it is as often the height."""
    spread: Callable[[Field, Random], Field] | None = None
    """What the ground does to the ink: coverage float32 [h, w] before and after."""
    layers: tuple[Layer, ...] = (light.daylight,)
    camera: Camera = field(default_factory=Camera)

    def taken(self, write: Write, random: Random) -> Image:
        """A picture of a page with this writing on it."""
        size = self._size(random)
        scene = self.paper(size, random)
        ink = pick(random, self.inks)
        height_px = between(random, self.height) * min(size)
        coverage = write(size, Hand(ink, height_px, between(random, self.angle_deg), self.away), random)
        if self.spread is not None:
            coverage = self.spread(coverage, random)
        scene = ink.on(scene, coverage).astype(np.float32, copy=False)
        for layer in self.layers:
            scene = layer(scene, random)
        return self.camera.picture(scene, random)

    def _size(self, random: Random) -> Size:
        shorter = between(random, SHORTER_PX)
        longer = shorter * between(random, self.aspect)
        if self.wide or happens(random, 0.5):
            return round(shorter), round(longer)
        return round(longer), round(shorter)
