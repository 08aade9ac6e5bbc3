"""Light on a page: daylight, shadows, vignettes, dusk, folds and glare, each a layer over a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.photos.canvas import between, centred, channels, happens, lit, pick, size_of
from training.photos.noise import creases, smooth

if TYPE_CHECKING:
    from training.photos.canvas import Field, Layer, Random, Range, Scene, Size


def daylight(scene: Scene, random: Random) -> Scene:
    """Light that is a little stronger on one side."""
    slope = between(random, (0.0, 0.22))
    light = 1 - np.float32(slope) * (np.float32(0.5) + along(size_of(scene), between(random, (0, 2 * np.pi))))
    return lit(scene, light)


def shadow(scene: Scene, random: Random) -> Scene:
    """A shadow across the page, with a hard or a soft edge, straight or not; it takes 30 to 70 % of the light."""
    size = size_of(scene)
    place = along(size, between(random, (0, 2 * np.pi))) - np.float32(between(random, (-0.25, 0.25)))
    if happens(random, 0.5):  # of a hand, a head or a telephone
        place = place + np.float32(between(random, (0.04, 0.14))) * smooth(size, pick(random, (2, 3, 4)), random)
    soft = between(random, (0.002, 0.02) if happens(random, 0.6) else (0.02, 0.12))
    return lit(scene, 1 - np.float32(between(random, (0.3, 0.7))) * step(place, soft))


def vignette(scene: Scene, random: Random) -> Scene:
    """Dark corners, as of a lens too small for the picture or a lamp close to the page."""
    rows, columns = centred(size_of(scene))
    height, width = size_of(scene)
    down = rows / height - np.float32(between(random, (-0.1, 0.1)))
    across = columns / width - np.float32(between(random, (-0.1, 0.1)))
    away = np.hypot(down, across) / np.float32(np.sqrt(0.5))  # 1 in the corners
    corners = between(random, (0.08, 0.35))
    fall = np.clip(away, 0, 1) ** np.float32(between(random, (1.3, 3.0)))
    return lit(scene, (1 - np.float32(1 - corners) * fall).astype(np.float32, copy=False))


def dusk(scene: Scene, random: Random) -> Scene:
    """Too little light, of a lamp's colour."""
    level = between(random, (0.18, 0.4))
    colour = level, level * between(random, (0.82, 1.0)), level * between(random, (0.6, 1.0))
    return daylight(scene, random) * channels(colour)


def folds(scene: Scene, random: Random) -> Scene:
    """Crumpled paper: brighter and darker by its slope, which changes at creases."""
    size = size_of(scene)
    slope = creases(size, int(random.integers(16, 36)), random)
    depth = between(random, (0.1, 0.24))
    return lit(scene, np.clip(1 - np.float32(0.4 * depth) + np.float32(depth) * slope, 0.3, 1.1))


def glare(scene: Scene, random: Random) -> Scene:
    """Reflections of one or two lamps or a window: white where they are strongest."""
    light = np.zeros(size_of(scene), np.float32)
    for _ in range(int(random.integers(1, 3))):
        light += spot(size_of(scene), random, (0.08, 0.3)) * np.float32(between(random, (0.35, 1.1)))
    return daylight(scene, random) * np.float32(between(random, (0.6, 0.95))) + light


def several(*layers: Layer, limits: tuple[int, int]) -> Layer:
    """A random choice of the layers, at least and at most so many, in their order."""

    def layer(scene: Scene, random: Random) -> Scene:
        count = int(random.integers(*limits, endpoint=True))
        for index in sorted(random.permutation(len(layers))[:count]):
            scene = layers[index](scene, random)
        return scene

    return layer


def along(size: Size, angle: float) -> Field:
    """How far each pixel is in a direction: about -0.5 at one side of the page, 0.5 at the other."""
    rows, columns = centred(size)
    place = (rows * np.sin(angle) + columns * np.cos(angle)) / max(size)
    return place.astype(np.float32)


def step(place: Field, soft: float) -> Field:
    """From 0 where the place is below 0 to 1 where it is above, within about four times `soft`."""
    return 1 / (1 + np.exp(np.clip(-place / np.float32(soft), -30, 30)))


def spot(size: Size, random: Random, radii: Range) -> Field:
    """A bright spot with soft edges, away from the middle of the page; its radii are relative to the longer side."""
    rows, columns = centred(size)
    angle, away = between(random, (0, 2 * np.pi)), between(random, (0.3, 0.6))
    down = rows - np.float32(size[0] * away * np.sin(angle))
    across = columns - np.float32(size[1] * away * np.cos(angle))
    tall, wide = (between(random, radii) * max(size) for _ in range(2))
    return np.exp(-((down / np.float32(tall)) ** 2) - (across / np.float32(wide)) ** 2)
