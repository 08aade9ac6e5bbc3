"""Batches of the next training steps on CPU: pictures in random order, distorted, and their targets.

They are made outside of the compiled loop over steps, where XLA uses all processors, and one step at a time, so that
memory stays in the caches: larger blocks would be allocated from the system each time, which takes four times as long.
GPUs and TPUs make theirs within the loop (`device_digits`).
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from training.distributed.mesh import BATCH, replicated, sharded
from training.fitting.augmentation import Chances, chances, distort_by
from training.fitting.distillation import compile_answer
from training.images import SIDE
from training.recipe import Distortion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.sharding import Mesh
    from numpy.typing import NDArray

    from training.data.digits import Examples
    from training.network.layers import Layers
    from training.network.module import Params
    from training.recipe import Recipe

STEPS_PER_CALL = 40
"""Training steps in one compiled call, after which progress and Ctrl-C are handled; 0.5 s for lenet on two cores."""
COMPILED_TO_KEEP = 32


class Batches(NamedTuple):
    """The batches of STEPS_PER_CALL steps; each batch is in `parts`, each of which is sharded over the devices."""

    images: jax.Array
    """uint8 [steps, parts, rows, 28, 28]."""
    targets: jax.Array
    """Target probabilities float32 [steps, parts, rows, classes]: one-hot labels, or the teachers' answers."""

    def batch(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The pictures and targets of one of the steps."""
        return self.images[step], self.targets[step]


def compile_draw(
    training: Examples, recipe: Recipe, classes: int, mesh: Mesh, teachers: Sequence[tuple[Layers, Params]] = ()
) -> Callable[[jax.Array, NDArray[np.uint32], int], Batches]:
    """A function that gives Batches of STEPS_PER_CALL steps, distorted by the recipe.

    Its arguments: the indices of an epoch [steps, parts, rows], a random key's data, the number of the first of these
    steps. Fewer steps than STEPS_PER_CALL are padded, so that there is one shape to compile for.
    """
    images, labels = jax.device_put((training.images, training.labels), replicated(mesh))
    taken, distorted, stacked = _compile(recipe.distortion, classes, mesh)
    answer = compile_answer(teachers, mesh) if teachers else None

    def draw(order: jax.Array, key: NDArray[np.uint32], first: int) -> Batches:
        batches = np.asarray(order)[first : first + STEPS_PER_CALL]
        steps = len(batches)
        drawn = taken(images, labels, np.stack(_filled(list(batches))))
        if recipe.distortion != Distortion():
            copies = [distorted(drawn.images, step, key, first) for step in range(steps)]
            drawn = drawn._replace(images=stacked(_filled(copies)))
        if answer:
            answers = [answer(drawn.images, step) for step in range(steps)]
            drawn = drawn._replace(targets=stacked(_filled(answers)))
        return drawn

    return draw


def _filled(steps: Sequence[Any]) -> list[Any]:
    """The steps padded to STEPS_PER_CALL with copies of the last one."""
    return [*steps, *[steps[-1]] * (STEPS_PER_CALL - len(steps))]


@lru_cache(COMPILED_TO_KEEP)
def _compile(distortion: Distortion, classes: int, mesh: Mesh) -> tuple[Callable[..., Any], ...]:
    by_rows = sharded(mesh, axis=2)

    @partial(jax.jit, out_shardings=by_rows)
    def taken(images: jax.Array, labels: jax.Array, batches: jax.Array) -> Batches:
        return Batches(images[batches], jax.nn.one_hot(labels[batches], classes))

    @partial(jax.jit, out_shardings=sharded(mesh, axis=1))
    def distorted(images: jax.Array, step: int, key: jax.Array, first: int) -> jax.Array:
        pictures = lax.dynamic_index_in_dim(images, step, keepdims=False)
        return distort_batch(pictures, key, first + step, distortion, mesh)

    @partial(jax.jit, out_shardings=by_rows)
    def stacked(steps: list[jax.Array]) -> jax.Array:
        return jnp.stack(steps)

    return taken, distorted, stacked


def distort_batch(
    images: jax.Array, key: jax.Array, step: jax.Array | int, distortion: Distortion, mesh: Mesh
) -> jax.Array:
    """Distorted copies of the pictures of a step, uint8 [parts, rows, 28, 28]; traceable by jax.jit.

    `key` is a random key's data; the copies are other ones in every step.
    """
    # without shard_map XLA would send the pictures of all devices to each of them, because of their layouts
    by = PartitionSpec(BATCH)

    @partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(by, PartitionSpec(None, None, *by), PartitionSpec(None, *by)),
        out_specs=by,
    )
    def distort_share(pictures: jax.Array, normal: jax.Array, uniform: jax.Array) -> jax.Array:
        return distort_by(pictures, Chances(normal, uniform), distortion)

    rows_first = images.swapaxes(0, 1)  # the sharded axis first, so that each device has a block
    pictures = rows_first.reshape(-1, SIDE, SIDE)
    drawn = chances(jax.random.fold_in(jax.random.wrap_key_data(key), step), len(pictures))
    return distort_share(pictures, *drawn).reshape(rows_first.shape).swapaxes(0, 1)
