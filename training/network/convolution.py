"""Convolution and max pooling in the forms that each backend computes fastest, for training and for inference.

On CPU the best form for training is among the worst for inference. LeNet, batch 128, two cores: an epoch takes 200 s
with XLA's own convolution inside a loop and less than 6 s as matrix products of shifted slices, 32 pictures at a time;
forward alone, XLA's own form is seven times as fast as the products. GPUs and TPUs want XLA's own form for both.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pool(Protocol):
    """Max pooling over windows side by side: [n, h, w, c] -> [n, h / size, w / size, c]."""

    def __call__(self, x: jax.Array, size: int) -> jax.Array: ...


class Form(NamedTuple):
    """How to convolve (with the signature of `lax.conv_general_dilated`) and how to pool."""

    convolve: Any
    max_pool: Pool
    rows: int | None = None
    """Number of pictures for which a gradient is computed fastest; None: that of a whole batch."""
    dtype: Any = jnp.float32
    """The dtype of activations; weights and logits are float32 in any case."""


def training_form(platform: str | None = None) -> Form:
    """The form whose gradients a platform (cpu, cuda, tpu) computes fastest; None: the default backend."""
    return MATMUL if (platform or jax.default_backend()) == "cpu" else HALF


def inference_form() -> Form:
    """The form that all platforms compute fastest forwards."""
    return NATIVE


def _native_max_pool(x: jax.Array, size: int) -> jax.Array:
    return nnx.max_pool(x, (size, size), strides=(size, size))


def _matmul_convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: str | Sequence[tuple[int, int]], **_: Any
) -> jax.Array:
    """Convolution of x [n, h, w, c] with kernel [kh, kw, c, f] as products of shifted slices.

    Chellapilla, Puri & Simard 2006, High performance convolutional neural networks for document processing ("im2col").
    Slices shifted along a row are put side by side in memory. Those shifted along a column become products that are
    added up, unless they are so narrow that one product of them all is faster.
    """
    kernel_height, kernel_width, channels, features = kernel.shape
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height = (x.shape[1] - kernel_height) // strides[0] + 1
    width = (x.shape[2] - kernel_width) // strides[1] + 1
    rows = jnp.concatenate([_shifted(x, j, width, strides[1], axis=2) for j in range(kernel_width)], axis=-1)
    rows = lax.optimization_barrier(rows)  # or XLA would slice x anew for every product
    slices = [_shifted(rows, i, height, strides[0], axis=1) for i in range(kernel_height)]
    kernels = list(kernel.reshape(kernel_height, kernel_width * channels, features))
    if kernel_width * channels < NARROW:
        slices, kernels = [jnp.concatenate(slices, axis=-1)], [jnp.concatenate(kernels)]
    products = [part.reshape(-1, part.shape[-1]) @ weights for part, weights in zip(slices, kernels, strict=True)]
    return sum(products[1:], start=products[0]).reshape(-1, height, width, features)


def _shifted(x: jax.Array, by: int, length: int, stride: int, *, axis: int) -> jax.Array:
    """`length` places along an axis, every `stride`-th from `by` on."""
    return lax.slice_in_dim(x, by, by + (length - 1) * stride + 1, stride, axis)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _winner_max_pool(x: jax.Array, size: int) -> jax.Array:
    """Max pooling that keeps the place of each window's maximum, the first of equal ones, for the gradient."""
    return _pooled(x, size)[0]


def _pooled(x: jax.Array, size: int) -> tuple[jax.Array, tuple[jax.Array, tuple[int, ...]]]:
    n, height, width, channels = x.shape
    cropped = x[:, : height // size * size, : width // size * size]
    windows = cropped.reshape(n, height // size, size, width // size, size, channels)
    largest = windows[:, :, 0, :, 0]
    winner = jnp.zeros(largest.shape, jnp.int32)
    for place in range(1, size * size):
        value = windows[:, :, place // size, :, place % size]
        larger = value > largest
        largest, winner = jnp.where(larger, value, largest), jnp.where(larger, place, winner)
    return largest, (winner, x.shape)


def _unpooled(size: int, pooled: tuple[jax.Array, tuple[int, ...]], gradient: jax.Array) -> tuple[jax.Array]:
    winner, (_, height, width, _) = pooled
    n, rows, columns, channels = winner.shape
    place = jnp.arange(size * size).reshape(size, 1, size, 1)
    windows = jnp.where(winner[:, :, None, :, None] == place, gradient[:, :, None, :, None], 0)
    x = windows.reshape(n, rows * size, columns * size, channels)
    return (jnp.pad(x, ((0, 0), (0, height - rows * size), (0, width - columns * size), (0, 0))),)


_winner_max_pool.defvjp(_pooled, _unpooled)

NATIVE = Form(lax.conv_general_dilated, _native_max_pool)
HALF = NATIVE._replace(dtype=jnp.bfloat16)
"""bfloat16, for which GPUs and TPUs have units; it has the range of float32, so the loss needs no scaling."""
MATMUL = Form(_matmul_convolve, _winner_max_pool, rows=32)
"""With 32 pictures, the output of a layer is still in the processor's caches when the next layer reads it."""
NARROW = 32
"""Products of matrices with fewer columns are put together into one, for their overhead."""
