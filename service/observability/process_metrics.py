"""Process metrics: memory, processor time and open files of each worker process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of the folder of shared metrics; prometheus_client reads it when it is imported."""
SUFFIX: Final = ".pid"


def note_process(folder: str, worker: str) -> None:
    """Writes the id of this process into the folder of shared metrics."""
    temporary = Path(folder) / f"{worker}.new"
    temporary.write_text(str(os.getpid()))
    temporary.replace(temporary.with_suffix(SUFFIX))


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
