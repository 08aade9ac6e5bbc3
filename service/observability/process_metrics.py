"""Memory, processor time and open files of each process of a service, for Prometheus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of the folder where workers share their counts; read when prometheus_client is imported."""
SUFFIX: Final = ".pid"


def note_process(folder: str, worker: str) -> None:
    """Writes this process's id into the folder that workers share."""
    aside = Path(folder) / f"{worker}.new"
    aside.write_text(str(os.getpid()))
    aside.replace(aside.with_suffix(SUFFIX))


class ProcessMetrics(Collector):
    """The processes noted in a folder, each with its label `worker`. Processes that have ended are left out."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            pid = path.read_text()
            for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {"worker": path.stem}, sample.value)
        return families.values()
