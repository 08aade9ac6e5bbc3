"""CPU limits of containers (cgroups); by default XLA starts a thread for each processor of the machine.

With more threads than the limit allows, the kernel stops all of them for the rest of each 100 ms in which they have
used up the container's time (CFS bandwidth control).
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

NPROC: Final = "NPROC"
"""The environment variable that XLA reads instead of counting processors. Affinity would have that effect, too, but it
pins threads: containers on one machine would crowd on the same processors while others are idle."""
Device = Literal["auto", "cpu", "gpu", "tpu"]
"""Where a process computes; `auto`: on the accelerator that JAX finds, or else on the processors."""
ROOT: Final = Path("/")


def keep_to_limit(among: int = 1, root: Path = ROOT) -> None:
    """Lets XLA start only as many threads as the container's limit has processors; call it before JAX computes.

    The limit is divided by `among`, the number of processes that share it. Does nothing without a limit, or where the
    user has set NPROC.
    """
    limit = limit_of_container(root)
    if limit is not None and NPROC not in os.environ:
        wanted = max(1, math.ceil(limit / among))
        if wanted < usable():
            os.environ[NPROC] = str(wanted)


def compute_in_place() -> None:
    """From now on the thread that asks JAX for a result computes it; call it before JAX has computed anything.

    JAX's own thread would take over even a single picture, for more than twice the time that it takes to compute.
    """
    import jax  # slow to import: `keep_to_limit` is called before anything needs JAX

    jax.config.update("jax_cpu_enable_async_dispatch", val=False)


@contextmanager
def one_thread() -> Iterator[int]:
    """XLA gets one thread if it starts inside the block; yields how many threads it would have had."""
    before, processors = os.environ.get(NPROC), allowed()
    os.environ[NPROC] = "1"
    try:
        yield processors
    finally:
        del os.environ[NPROC]
        if before is not None:
            os.environ[NPROC] = before


def allowed() -> int:
    """How many processors this process may use: XLA's number of threads after `keep_to_limit`."""
    return int(os.environ.get(NPROC) or usable())


def usable() -> int:
    """How many processors this process may run on, by its affinity; the container's limit is not counted."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_of_container(root: Path = ROOT) -> float | None:
    """The limit in processors, such as 0.5; None: there is none.

    It is the lowest of this process's cgroup and its ancestors, as far as they are visible: cpu.max of version 2,
    cpu.cfs_quota_us of version 1.
    """
    quotas = []
    for controllers, path in _cgroups(root):
        mounted = root / "sys/fs/cgroup" / controllers
        # in a container, its own cgroup may be mounted as the root, though its path is that on the machine
        groups = [mounted, *(mounted / part for part in _ancestors(path))]
        quotas += [quota for group in groups if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def _cgroups(root: Path) -> list[tuple[str, str]]:
    """The cgroups of this process that may limit processors: the folder of the hierarchy, and the path below it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            found.append(("", path))
        elif "cpu" in controllers.split(","):
            found.append((controllers, path))
    return found


def _ancestors(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _quota(group: Path) -> float | None:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None
