"""The forms in which a backend computes convolution and max pooling; the network does not know which it got.

On CPU the best form for training is among the worst for inference. LeNet, batch 128, two cores: an epoch takes 200 s
with XLA's own convolution inside `lax.scan` and 8 s as one matrix product of shifted slices; forward alone, XLA's own
form is seven times as fast as the product. GPUs and TPUs want XLA's own form for both.
"""

from __future__ import annotations

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


def training_form() -> Form:
    """The form whose gradients the default backend computes fastest."""
    return MATMUL if jax.default_backend() == "cpu" else NATIVE


def inference_form() -> Form:
    """The form that the default backend computes fastest forwards."""
    return NATIVE


def _matmul_convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: str | Sequence[tuple[int, int]], **_: Any
) -> jax.Array:
    """Convolution of x [n, h, w, c] with kernel [kh, kw, c, f] as one product of shifted slices ("im2col").

    Chellapilla, Puri & Simard 2006, High performance convolutional neural networks for document processing.
    """
    kernel_height, kernel_width, channels, features = kernel.shape
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height = (x.shape[1] - kernel_height) // strides[0] + 1
    width = (x.shape[2] - kernel_width) // strides[1] + 1
    slices = [
        x[:, i : i + (height - 1) * strides[0] + 1 : strides[0], j : j + (width - 1) * strides[1] + 1 : strides[1]]
        for i in range(kernel_height)
        for j in range(kernel_width)
    ]
    patches = jnp.concatenate(slices, axis=-1)  # [n, height, width, kh * kw * c]
    flat = patches.reshape(-1, kernel_height * kernel_width * channels) @ kernel.reshape(-1, features)
    return flat.reshape(-1, height, width, features)


def _reshape_max_pool(x: jax.Array, size: int) -> jax.Array:
    n, height, width, channels = x.shape
    x = x[:, : height // size * size, : width // size * size]
    return x.reshape(n, height // size, size, width // size, size, channels).max(axis=(2, 4))


def _window_max_pool(x: jax.Array, size: int) -> jax.Array:
    return nnx.max_pool(x, (size, size), strides=(size, size))


NATIVE = Form(lax.conv_general_dilated, _window_max_pool)
MATMUL = Form(_matmul_convolve, _reshape_max_pool)
