"""The camera: blur, noise of the sensor, digital zoom and JPEG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageFilter

from training.photos.canvas import between, happens, size_of, to_image, to_scene

if TYPE_CHECKING:
    from training.photos.canvas import Random, Range, Scene


SHARP_PX: Final = 1.5
"""Blur with a smaller standard deviation is that of a box, three times faster; the shape is not seen."""


@dataclass(frozen=True)
class Camera:
    """How a scene becomes a picture; each range is one of numbers drawn evenly for each picture."""

    blur_px: Range = (0.4, 1.3)
    moved: float = 0.0
    """The chance that the camera moved instead of being out of focus, in which case it blurs in one direction."""
    noise: Range = (0.004, 0.014)
    """Standard deviation of a grey level of white, 1 is white."""
    quality: Range | None = (80, 95)
    """Of JPEG; None for pictures that no camera took."""
    detail: Range = (1.0, 1.0)
    """Pixels of the sensor for each of the picture along either axis: less than 1 with digital zoom."""

    def picture(self, scene: Scene, random: Random) -> Image.Image:
        """The scene as this camera takes it, in RGB, of the scene's size."""
        image = self._blurred(to_image(scene), random)
        size, detail = image.size, between(random, self.detail)
        if detail < 1:
            width, height = size
            image = image.resize((round(width * detail), round(height * detail)), Image.Resampling.BOX)
        noise = between(random, self.noise)
        if noise:
            image = to_image(_noisy(to_scene(image), noise, random))
        if image.size != size:
            image = image.resize(size, Image.Resampling.BICUBIC)
        return image if self.quality is None else _compressed(image, round(between(random, self.quality)))

    def _blurred(self, image: Image.Image, random: Random) -> Image.Image:
        radius = between(random, self.blur_px)
        if not radius:
            return image
        if happens(random, self.moved):
            across, down = (2 * radius, 0.4 * radius) if happens(random, 0.5) else (0.4 * radius, 2 * radius)
            return image.filter(ImageFilter.BoxBlur((across, down)))
        if radius < SHARP_PX:
            return image.filter(ImageFilter.BoxBlur((math.sqrt(12 * radius**2 + 1) - 1) / 2))
        return image.filter(ImageFilter.GaussianBlur(radius))


SCREEN = Camera(blur_px=(0, 0), noise=(0, 0), quality=None)
"""No camera: the picture is saved as it is on the screen."""


def _noisy(scene: Scene, noise: float, random: Random) -> Scene:
    """Noise of grey levels, larger where there is more light, and some of colours in larger spots."""
    height, width = size_of(scene)
    grain = random.standard_normal((height, width), np.float32)
    grain *= np.float32(0.5 * noise) * (1 + scene[1])
    spots = random.normal(0, 0.4 * noise, (3, -(-height // 3), -(-width // 3))).astype(np.float32)
    colours = np.repeat(np.repeat(spots, 3, axis=1), 3, axis=2)[:, :height, :width]
    return scene + grain + colours


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return picture.convert("RGB")
