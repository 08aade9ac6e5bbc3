"""Many devices, in one process or in several, that train one network together: each takes a share of every batch.

All processes run the same program on the same data, and only the first one writes (`is_first`).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from training.distributed.rendezvous import meet
from training.errors import DigitsError
from training.filesystem import check_room
from training.network.compiled import compute_in_place

if TYPE_CHECKING:
    from jax.sharding import Mesh

BATCH = "batch"
"""The mesh's only axis: pictures are shared out along it, weights are the same all along it."""
DEAD_AFTER_S = 20
"""A process that has not been heard of for so long is dead, and the others end with an error."""
WAIT_FOR_OTHERS_S = 300
"""How long a process waits at the start for the others to come."""
LONGEST_PATH = 4096
HIGHEST_PORT = 65535


def join(coordinator: str, processes: int, process: int) -> None:
    """Joins this process to the others, before JAX has computed anything.

    `coordinator` is the address, host:port, at which process 0 listens. Raises DigitsError when they do not meet.
    """
    if not 0 <= process < processes:
        raise DigitsError(f"this is process {process} of {processes}: want one from 0 to {processes - 1}")
    address = re.fullmatch(r"(.+):(\d+)", coordinator)
    if not address or int(address[2]) > HIGHEST_PORT:
        raise DigitsError(f"the coordinator is {coordinator!r}: want host:port")
    meet(address[1].strip("[]"), int(address[2]), processes, process, within_s=WAIT_FOR_OTHERS_S)
    compute_in_place()  # or processes wait for each other in different calls
    jax.config.update("jax_enable_preemption_service", val=False)  # it would take SIGTERM away from the command
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method="deactivate",
            initialization_timeout=DEAD_AFTER_S,
            heartbeat_timeout_seconds=DEAD_AFTER_S,
            shutdown_timeout_seconds=DEAD_AFTER_S,
        )
    except RuntimeError as error:
        raise DigitsError(
            f"process {process} of {processes} did not meet the others at {coordinator}: {error}"
        ) from error


def leave(exit_code: int) -> NoReturn:
    """Ends this process at once: JAX's own farewell would wait for the other processes, and abort if one is dead."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def is_first() -> bool:
    """Whether this is the process that writes; the only one, as a rule."""
    return jax.process_index() == 0


def mesh() -> Mesh:
    """All devices of all processes, in a row."""
    return jax.make_mesh((jax.device_count(),), (BATCH,), axis_types=(AxisType.Auto,))


def whole(mesh: Mesh) -> NamedSharding:
    """Every device has all of it."""
    return NamedSharding(mesh, PartitionSpec())


def shared(mesh: Mesh, axis: int) -> NamedSharding:
    """Every device has its share along an axis."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH))


def from_first(tree: Any) -> Any:
    """The arrays of the first process, in every process, as NumPy's. Shapes and dtypes must agree already."""
    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree) if jax.process_count() > 1 else tree)


def check_same(what: str, content: bytes) -> None:
    """Raises DigitsError in a process whose content is not that of the first one."""
    own = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    if (from_first(own) != own).any():
        raise DigitsError(f"process {jax.process_index()} was given another {what} than process 0")


def wait_for_all(what: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def save(path: epath.Path | None, tree: Any, metadata: dict[str, Any] | None = None) -> None:
    """Writes arrays with Orbax. All processes take part, and all must see the path, which only the first one names.

    Raises OSError when the disk is full.
    """
    if path is not None:  # of a full disk Orbax makes hundreds of lines
        check_room(path.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
    ocp.save(_named_by_first(path), tree, custom_metadata=metadata)


def load(path: epath.Path | None, like: Any) -> Any:
    """Reads with Orbax what `save` wrote. All processes take part, as in `save`."""
    return ocp.load(_named_by_first(path), like)  # Orbax counts its operations, and waits for processes at other counts


def _named_by_first(path: epath.Path | None) -> epath.Path:
    if jax.process_count() == 1:
        return cast("epath.Path", path)
    named = np.frombuffer(os.fsencode(str(path or "")).ljust(LONGEST_PATH), np.uint8)
    return epath.Path(os.fsdecode(from_first(named).tobytes().rstrip()))
