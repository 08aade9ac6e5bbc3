"""Moments of the ink (Hu 1962): how much there is, where its centre is, and how far it spreads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jax.numpy as jnp
import numpy as np

from training.images import PIXELS, SIDE, normalise

if TYPE_CHECKING:
    import jax
    from numpy.typing import NDArray

LEAST_INK: Final = 1.0
"""Centre and spread of less than that, in pixels full of ink, are as of so much: of a blank picture they are 0."""
PAPER: Final = 0.01
"""Added to the mean ink, so that a blank picture's has a logarithm."""


def moments(images: jax.Array) -> jax.Array:
    """Of pictures uint8 [n, 28, 28], float32 [n, 6]; traceable by jax.jit.

    The logarithm of the mean ink (0…1) + 0.01; the centre of mass, y and x from the middle; mean y², x² and xy; pixels.
    """
    sums = normalise(images).reshape(-1, PIXELS) @ _basis()  # [n, 6]
    ink = sums[:, :1]
    return jnp.concatenate([jnp.log(ink / PIXELS + PAPER), sums[:, 1:] / jnp.maximum(ink, LEAST_INK)], axis=1)


def mean_ink(moments: jax.Array) -> jax.Array:
    """The mean ink, 0…1 [n], that moments [n, 6] tell of; traceable by jax.jit."""
    return jnp.exp(moments[:, 0]) - PAPER


def _basis() -> NDArray[np.float32]:
    """What a row of pixels is multiplied by, float32 [784, 6]: 1, y, x, y², x², xy, in pixels from the middle."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2).reshape(2, PIXELS)
    return np.stack([np.ones(PIXELS), y, x, y * y, x * x, x * y], axis=1).astype(np.float32)
