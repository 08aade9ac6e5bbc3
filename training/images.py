"""The one definition of preprocessing: numbers -> uint8 [n, 28, 28] -> float32 in [0, 1].

Polarity and scale are stated, never guessed: pixels run row by row, 0 is background, `scale` (255 unless told
otherwise) is full ink. Everything that meets a network, in training or in service, has gone through this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.errors import DigitsError

if TYPE_CHECKING:
    import jax
    from numpy.typing import ArrayLike, NDArray

    Images = NDArray[np.uint8]

SIDE = 28
PIXELS = SIDE * SIDE
CLASSES = 10
FULL_INK = 255.0


class PixelError(DigitsError, ValueError):
    """A pixel is not a finite number in 0…scale. `row` and `pixel` say which, `value` what was found."""

    def __init__(self, row: int, pixel: int, value: float, scale: float) -> None:
        self.row, self.pixel, self.value, self.scale = row, pixel, value, scale
        super().__init__(f"row {row}, pixel {pixel} is {value:g}, want a number from 0 to {scale:g}")


def quantise(numbers: ArrayLike, scale: float = FULL_INK) -> Images:
    """Images uint8 [n, 28, 28] from real numbers [n, 784], [n, 28, 28] or [n, 28, 28, 1], rounded to 256 levels of ink.

    Raises PixelError for the first value that is not finite or lies outside 0…scale, and DigitsError for a scale that
    is not finite and greater than 0.
    """
    if not 0 < scale < np.inf:
        raise DigitsError(f"scale is {scale:g}, want a finite number greater than 0")
    values = np.asarray(numbers)
    if values.dtype != np.uint8 or scale != FULL_INK:
        values = values.reshape(len(values), PIXELS)
        good = (values >= 0) & (values <= scale)  # NaN compares false
        if not good.all():
            row, pixel = np.argwhere(~good)[0]
            raise PixelError(int(row), int(pixel), float(values[row, pixel]), scale)
        values = np.rint(values * (FULL_INK / scale)).astype(np.uint8)
    return values.reshape(-1, SIDE, SIDE)


def forgotten_scale(numbers: ArrayLike, scale: float = FULL_INK) -> bool:
    """Whether there is ink and no number above 1 although 255 is full ink: every picture would be as good as black."""
    return scale == FULL_INK and 0 < float(np.max(numbers)) <= 1


def normalise(images: jax.Array) -> jax.Array:
    """Network input float32 [n, 28, 28] in [0, 1] for images uint8 [n, 28, 28]; traceable by jax.jit."""
    return images.astype(np.float32) / np.float32(FULL_INK)
