"""Distillation: what larger networks answer, a smaller one learns in place of the labels.

Hinton, Vinyals & Dean 2015, Distilling the knowledge in a neural network; here with answers to pictures as they are
distorted for the smaller one, and at temperature 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from training import parallel
from training.convolution import inference_form
from training.images import SIDE
from training.network import forward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.sharding import Mesh

    from training.layers import Layers
    from training.network import Params


def compile_answers(teachers: Sequence[tuple[Layers, Params]], mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    """A function that gives the teachers' mean probabilities for pictures of some steps.

    From uint8 [steps, parts, rows, 28, 28] to float32 [steps, parts, rows, 10].
    """
    networks = [forward(layers, inference_form()) for layers, _ in teachers]
    weights = jax.device_put([params for _, params in teachers], parallel.whole(mesh))

    @jax.jit
    def answer(weights: list[Params], images: jax.Array) -> jax.Array:
        pictures = images.reshape(-1, SIDE, SIDE)
        each = [jax.nn.softmax(network(params, pictures)) for network, params in zip(networks, weights, strict=True)]
        return jnp.mean(jnp.stack(each), axis=0).reshape(*images.shape[:-2], -1)

    @jax.jit
    def stacked(answers: list[jax.Array]) -> jax.Array:
        return jax.lax.with_sharding_constraint(jnp.stack(answers), parallel.shared(mesh, axis=2))

    def answers(images: jax.Array) -> jax.Array:
        # a step at a time: the pictures of all of them would not fit into a processor's caches
        return stacked([answer(weights, step) for step in images])

    return answers
