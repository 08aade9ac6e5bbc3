"""Image moments of the ink (Hu 1962): mass, centre and spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jax.numpy as jnp
import numpy as np

from training.images import PIXELS, SIDE, normalise

if TYPE_CHECKING:
    import jax
    from numpy.typing import NDArray

LEAST_INK: Final = 1.0
"""Centre and spread are divided by at least this mass, in pixels full of ink, so those of a blank picture are 0."""
PAPER: Final = 0.01
"""Added to the mean ink, so that a blank picture has a logarithm."""


def moments(images: jax.Array) -> jax.Array:
    """Moments float32 [n, 6] of pictures uint8 [n, 28, 28]; traceable by jax.jit.

    They are the logarithm of the mean ink (0…1) + 0.01; y and x of the centre of mass; mean y², x² and xy. Places are
    in pixels from the middle.
    """
    sums = normalise(images).reshape(-1, PIXELS) @ basis()  # [n, 6]
    ink = sums[:, :1]
    return jnp.concatenate([jnp.log(ink / PIXELS + PAPER), sums[:, 1:] / jnp.maximum(ink, LEAST_INK)], axis=1)


def mean_ink(moments: jax.Array) -> jax.Array:
    """The mean ink [n], 0…1, by moments [n, 6]; traceable by jax.jit."""
    return jnp.exp(moments[:, 0]) - PAPER


def basis() -> NDArray[np.float32]:
    """The matrix float32 [784, 6] that pixels are multiplied by: 1, y, x, y², x², xy, in pixels from the middle."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2).reshape(2, PIXELS)
    return np.stack([np.ones(PIXELS), y, x, y * y, x * x, x * y], axis=1).astype(np.float32)
