"""The device mesh of data-parallel training: every device has all the weights and a share of every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from jax.sharding import Mesh

BATCH = "batch"
"""The only axis of the mesh."""


def data_parallel_mesh() -> Mesh:
    """All devices of all processes, in a row."""
    return jax.make_mesh((jax.device_count(),), (BATCH,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device has the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh, axis: int) -> NamedSharding:
    """Every device has its share of the array along an axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH))
