"""Arrays written to disk and read again with Orbax, by one process or by several together.

Orbax counts its operations, and broadcasts in each of them: in a process that left one out, all later ones would hang.
So every process calls `save` and `load` alike, and only the first one names a path.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from training.distributed.processes import from_first, has_peers
from training.filesystem import check_room

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PATH = 4096


def save(path: Path | None, tree: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Writes arrays; `path` is None in every process but the first. All processes must see the path.

    Raises OSError when the disk is full.
    """
    if path is not None:  # for a full disk Orbax prints hundreds of lines
        check_room(path.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
    ocp.save(_path_of_first(path), tree, custom_metadata=metadata)


def load(path: Path | None, like: Any) -> Any:
    """Reads what `save` wrote; `like` has its shapes, dtypes and devices. `path` as in `save`."""
    return ocp.load(_path_of_first(path), like)


def _path_of_first(path: Path | None) -> Path:
    if not has_peers():
        return cast("Path", path)
    named = np.frombuffer(os.fsencode(str(path or "")).ljust(LONGEST_PATH), np.uint8)
    return Path(os.fsdecode(from_first(named).tobytes().rstrip()))
