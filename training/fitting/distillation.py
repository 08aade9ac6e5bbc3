"""Distillation: a smaller network learns the answers of larger ones in place of the labels.

Hinton, Vinyals & Dean 2015, Distilling the knowledge in a neural network; here the teachers answer the distorted
pictures that the smaller network gets, at temperature 1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from training.distributed.mesh import replicated, sharded
from training.images import SIDE
from training.network.convolution import inference_form
from training.network.module import forward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.sharding import Mesh

    from training.network.layers import Layers
    from training.network.module import Params


def compile_answer(teachers: Sequence[tuple[Layers, Params]], mesh: Mesh) -> Callable[[jax.Array, int], jax.Array]:
    """A function that gives the teachers' answers, float32 [parts, rows, 10], to the pictures of a step.

    Its arguments: the pictures of several steps, uint8 [steps, parts, rows, 28, 28], and the number of one of them.
    """
    networks = tuple(layers for layers, _ in teachers)
    weights = jax.device_put([params for _, params in teachers], replicated(mesh))

    @partial(jax.jit, out_shardings=sharded(mesh, axis=1))
    def answer(weights: list[Params], images: jax.Array, step: int) -> jax.Array:
        return mean_answer(networks, weights, lax.dynamic_index_in_dim(images, step, keepdims=False))

    return partial(answer, weights)


def mean_answer(networks: Sequence[Layers], weights: Sequence[Params], images: jax.Array) -> jax.Array:
    """The teachers' mean probabilities, float32 [parts, rows, 10], for pictures uint8 [parts, rows, 28, 28]."""
    pictures = images.reshape(-1, SIDE, SIDE)
    each = [
        jax.nn.softmax(forward(layers, inference_form())(params, pictures))
        for layers, params in zip(networks, weights, strict=True)
    ]
    return jnp.mean(jnp.stack(each), axis=0).reshape(*images.shape[:2], -1)
