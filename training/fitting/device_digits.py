"""Training digits in the memory of GPUs or TPUs, of which each step draws its batch, so that none waits for the host.

An epoch is then one compiled call. On CPU batches are made ahead (`batches`), for there XLA computes what is within a
loop on one processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
from jax import lax

from training.distributed.mesh import replicated, sharded
from training.fitting.batches import distort_batch
from training.fitting.distillation import mean_answer
from training.recipe import Distortion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.sharding import Mesh
    from numpy.typing import NDArray

    from training.data.digits import Examples
    from training.network.layers import Layers
    from training.network.module import Params
    from training.recipe import Recipe


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["images", "labels", "weights", "order", "key", "first"],
    meta_fields=["teachers", "classes", "distortion", "mesh"],
)
@dataclass(frozen=True)
class DeviceDigits:
    """What the batches of an epoch are drawn from, an argument of compiled functions."""

    images: jax.Array
    """uint8 [n, 28, 28]."""
    labels: jax.Array
    """uint8 [n]."""
    weights: Sequence[Params]
    """The teachers' weights."""
    teachers: tuple[Layers, ...]
    classes: int
    distortion: Distortion
    mesh: Mesh
    order: jax.Array
    """Indices of the pictures of an epoch, int32 [steps, parts, rows]."""
    key: Any
    """Data of the random key of the epoch's distortions, uint32 [2]."""
    first: Any
    """Number of the step that `batch` counts from."""

    def batch(self, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Pictures uint8 [parts, rows, 28, 28] and target probabilities float32 [parts, rows, classes] of a step."""
        number = self.first + step
        indices = self.order[number]
        images = lax.with_sharding_constraint(self.images[indices], sharded(self.mesh, axis=1))
        if self.distortion != Distortion():
            images = distort_batch(images, self.key, number, self.distortion, self.mesh)
        if self.teachers:
            return images, mean_answer(self.teachers, self.weights, images)
        return images, jax.nn.one_hot(self.labels[indices], self.classes)


def keep_on_devices(
    training: Examples, recipe: Recipe, classes: int, mesh: Mesh, teachers: Sequence[tuple[Layers, Params]] = ()
) -> Callable[[jax.Array, NDArray[Any], int], DeviceDigits]:
    """A function like that of `compile_draw`: it gives the digits of an epoch, all steps of which can be drawn."""
    weights = [params for _, params in teachers]
    images, labels, weights = jax.device_put((training.images, training.labels, weights), replicated(mesh))
    networks = tuple(layers for layers, _ in teachers)
    return partial(DeviceDigits, images, labels, weights, networks, classes, recipe.distortion, mesh)
