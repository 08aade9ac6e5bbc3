"""Several processes that train one network: joining and leaving, broadcasts from the first one, a lost peer.

All processes run the same program on the same data, and only the first one writes (`is_first`).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import numpy as np
from jax.errors import JaxRuntimeError
from jax.experimental import multihost_utils

from training.distributed.rendezvous import meet
from training.errors import DigitsError
from training.processors import compute_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator

DEAD_AFTER_S = 20
"""A process that has sent no heartbeat for so long counts as dead, and the other ones end with an error."""
WAIT_FOR_OTHERS_S = 300
"""How long a process waits at the start for the other ones."""
HIGHEST_PORT = 65535
TRANSPORT = "Gloo"
"""JAX's transport between processes on CPU; its name is in the text of each of its errors."""


class PeerLost(DigitsError):
    """Another process of the job has ended, or cannot be reached. `reason` is what the transport says."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"another process has ended or cannot be reached ({reason})")


def join(coordinator: str, processes: int, process: int) -> None:
    """Connects this process with the other ones, before JAX has computed anything.

    `coordinator` is the address, host:port, at which process 0 listens. Raises DigitsError when they do not meet.
    """
    if not 0 <= process < processes:
        raise DigitsError(f"this is process {process} of {processes}: want one from 0 to {processes - 1}")
    address = re.fullmatch(r"(.+):(\d+)", coordinator)
    if not address or int(address[2]) > HIGHEST_PORT:
        raise DigitsError(f"the coordinator is {coordinator!r}: want host:port")
    meet(address[1].strip("[]"), int(address[2]), processes, process, within_s=WAIT_FOR_OTHERS_S)
    compute_in_place()  # or processes wait for each other in different collective operations
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
    """Ends this process at once: JAX's own shutdown would wait for the other processes, and abort if one is dead."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


@contextmanager
def noticing_lost_peers() -> Iterator[None]:
    """Raises PeerLost for an error of the transport in the block; with one process there is none."""
    try:
        yield
    except (JaxRuntimeError, ValueError) as error:  # JAX raises either of the two for an error of the transport
        if not has_peers() or TRANSPORT not in str(error):
            raise
        raise PeerLost(str(error).splitlines()[0]) from error


def has_peers() -> bool:
    """Whether other processes train along."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes; with one process, it is."""
    return jax.process_index() == 0


def from_first(tree: Any) -> Any:
    """The arrays of the first process, in every process, as NumPy arrays. Shapes and dtypes must agree already."""
    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree) if has_peers() else tree)


def check_same(what: str, content: bytes) -> None:
    """Raises DigitsError in a process whose content differs from that of the first one."""
    own = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    if (from_first(own) != own).any():
        raise DigitsError(f"process {jax.process_index()} was given another {what} than process 0")


def wait_for_all(what: str) -> None:
    """A barrier: returns when every process has called it."""
    if has_peers():
        multihost_utils.sync_global_devices(what)
