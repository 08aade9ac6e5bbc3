"""Process metrics, and the files in which each worker process shares its metrics with the others."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of the folder of shared metrics; prometheus_client reads it when it is imported."""
SUFFIX: Final = ".pid"
FILE_BYTES: Final = {
    "counter": 2**16,
    "gauge_livesum": 2**16,
    "gauge_livemax": 2**16,
    "gauge_livemin": 2**12,
    "histogram": 2**20,
}
"""By kind, as prometheus_client names its files: room for all metrics of the service."""
USED: Final = struct.Struct("i")
"""The first number of such a file: its bytes in use."""
HEADER_BYTES: Final = 8


def note_process(folder: str, worker: str) -> None:
    """Writes the id of this process into the folder of shared metrics."""
    temporary = Path(folder) / f"{worker}.new"
    temporary.write_text(str(os.getpid()))
    temporary.replace(temporary.with_suffix(SUFFIX))


def reserve_files(folder: str) -> None:
    """Makes the files of this process's metrics before prometheus_client does, with room on the disk.

    prometheus_client would make sparse files and map them to memory: on a full disk, the first write to a page without
    a place ends the process (SIGBUS). Raises OSError when the disk has no room.
    """
    paths = {Path(folder, f"{kind}_{os.getpid()}.db"): size_bytes for kind, size_bytes in FILE_BYTES.items()}
    try:
        for path, size_bytes in paths.items():
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def release_room(folder: str, pid: int) -> None:
    """Gives back what the files of a dead process do not use; their counts stay."""
    for path in Path(folder).glob(f"*_{pid}.db"):
        with suppress(OSError), path.open("rb+") as file:
            head = file.read(HEADER_BYTES)
            if len(head) == HEADER_BYTES:
                file.truncate(max(USED.unpack_from(head)[0], HEADER_BYTES))


class ProcessMetrics(Collector):
    """Collects the metrics of the processes noted in a folder, by the label `worker`; skips processes that ended."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            pid = path.read_text()
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family_of_all = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    family_of_all.add_sample(sample.name, {"worker": path.stem}, sample.value)
        return families.values()
