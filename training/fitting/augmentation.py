"""Augmentation: elastic distortion and small affine changes of pictures, drawn anew for each picture in each epoch.

Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual document analysis:
a field of random displacements, smoothed by a Gaussian, moves every pixel. Two things are different here, for
speed on processors without a gather unit. A smooth field has few degrees of freedom, so it is drawn from the largest
modes of the Gaussian and not smoothed pixel by pixel. And pictures are resampled first along rows and then along
columns, each pass a sum of shifted copies with the weights of linear interpolation, over all pictures at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint

from training.images import FULL_INK, SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.recipe import Distortion

REACH = 6
"""No pixel moves further than this, in pixels, along either axis."""
MODES = 8
"""Modes of the Gaussian that a field is drawn from, along each axis; the rest hold at most 0.1 % of its variance."""


class Chances(NamedTuple):
    """The random numbers of n distortions; from here on, each picture is computed independently of the others."""

    normal: jax.Array
    """For the elastic fields, standard normal, float32 [2, MODES * MODES, n]."""
    uniform: jax.Array
    """For the affine changes, in -1…1, float32 [6, n]."""


def chances(key: jax.Array, n: int) -> Chances:
    """Random numbers for n pictures."""
    elastic_key, affine_key = jax.random.split(key)
    normal = jax.random.normal(elastic_key, (2, MODES * MODES, n))
    return Chances(normal, jax.random.uniform(affine_key, (6, n), minval=-1, maxval=1))


def distort(images: jax.Array, key: jax.Array, distortion: Distortion) -> jax.Array:
    """Copies uint8 [n, 28, 28] of pictures uint8 [n, 28, 28], each with its own distortion; traceable by jax.jit."""
    return distort_by(images, chances(key, len(images)), distortion)


def distort_by(images: jax.Array, drawn: Chances, distortion: Distortion) -> jax.Array:
    """As `distort`, with random numbers that are drawn already."""
    fields = _elastic(drawn.normal, distortion) + _affine(drawn.uniform, distortion)
    dx, dy = lax.optimization_barrier(jnp.clip(fields, -REACH, REACH))
    ink = _rows_first(images.transpose(1, 2, 0).astype(jnp.float32))  # [28, 28, n]
    ink = _rows_first(_resampled(ink, dx, axis=1))
    ink = _rows_first(_resampled(ink, dy, axis=0))
    return jnp.clip(jnp.round(ink), 0, FULL_INK).astype(jnp.uint8).transpose(2, 0, 1)


def _elastic(normal: jax.Array, distortion: Distortion) -> jax.Array:
    """Displacements by smooth random fields, float32 [2, 28, 28, n] in pixels."""
    along = _modes(distortion.smoothness_px)  # [28, m]
    modes = distortion.elastic_px * np.kron(along, along)  # [28 * 28, m * m]
    fields = jnp.stack([modes @ along_axis for along_axis in normal])
    return _rows_first(fields.reshape(2, SIDE, SIDE, -1))


def _affine(uniform: jax.Array, distortion: Distortion) -> jax.Array:
    """Displacements by rotation, scale, shear and shift about the centre, float32 [2, 28, 28, n] in pixels."""
    rotation, shear = distortion.rotation_rad * uniform[0], distortion.shear * uniform[1]
    scale_x, scale_y = 1 + distortion.scale * uniform[2], 1 + distortion.scale * uniform[3]
    by_x = jnp.stack([scale_x * jnp.cos(rotation) - 1, jnp.sin(rotation)])
    by_y = jnp.stack([shear - jnp.sin(rotation), scale_y * jnp.cos(rotation) - 1])
    # without the barrier XLA computes the sine anew for every pixel
    by_x, by_y, shift = lax.optimization_barrier((by_x, by_y, distortion.shift_px * uniform[4:]))
    place = jnp.arange(SIDE) - (SIDE - 1) / 2
    x, y = place[None, None, :, None], place[None, :, None, None]
    return by_x[:, None, None] * x + by_y[:, None, None] * y + shift[:, None, None]


def _resampled(ink: jax.Array, by: jax.Array, *, axis: int) -> jax.Array:
    """Pixels of [28, 28, n] take the ink found `by` pixels further along an axis; beyond the border there is none."""
    padded = jnp.pad(ink, [(REACH, REACH) if i == axis else (0, 0) for i in range(3)])
    total = jnp.zeros_like(ink)
    for shift in range(-REACH, REACH + 1):
        copy = lax.slice_in_dim(padded, REACH + shift, REACH + shift + SIDE, axis=axis)
        total += jnp.maximum(0, 1 - jnp.abs(by - shift)) * copy
    return total


def _rows_first(x: jax.Array) -> jax.Array:
    """The same values, row-major in memory: XLA would put the axis of pictures first, and read with strides."""
    return with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))


def _modes(smoothness_px: float) -> NDArray[np.float32]:
    """The largest modes of smoothing along an axis, [28, MODES]; a field of them has variance 1 in the middle."""
    place = np.arange(SIDE)
    kernel = np.exp(-((place[:, None] - place) ** 2) / (2 * smoothness_px**2))
    kernel /= np.linalg.norm(kernel[SIDE // 2])
    modes, strengths, _ = np.linalg.svd(kernel)
    return np.asarray(modes[:, :MODES] * strengths[:MODES], np.float32)
