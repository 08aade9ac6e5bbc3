"""What a chaos run does to a service: kills and stops workers, swaps versions, fills the disk, restarts PostgreSQL."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.service_process import workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.postgres import Postgres
    from training.store import Store

DISK_BYTES = 2**28
FULL_S = 5.0


class Ending(NamedTuple):
    """When a worker was killed or stopped, and when it was gone, in `time.monotonic()` seconds."""

    began_s: float
    ended_s: float


class Disturbances:
    """Disturbs a service of several workers, something else each time."""

    def __init__(
        self, parent: subprocess.Popen[str], store: Store, model: str, disk: Path | None, postgres: Postgres | None
    ) -> None:
        self._parent, self._store, self._model, self._disk, self._postgres = parent, store, model, disk, postgres
        self._workers = len(workers_of(parent))
        self._random = random.Random(0)
        self.endings: list[Ending] = []
        self.done: dict[str, int] = {}

    def run(self, stopped: Callable[[], bool], pause_s: float) -> None:
        """Disturbs every `pause_s` seconds until it is stopped."""
        kinds: dict[str, Callable[[], None]] = {
            "versions swapped": self._swap,
            "SIGHUP": self._hang_up,
            "workers killed": self._kill,
            "workers stopped": self._stop,
        }
        if self._disk:
            kinds["full disk"] = self._fill
        if self._postgres:
            kinds["PostgreSQL restarted"] = self._restart_postgres
        left: list[str] = []
        while not stopped():
            left = left or self._random.sample(list(kinds), len(kinds))
            kind = left.pop()
            kinds[kind]()
            self.done[kind] = self.done.get(kind, 0) + 1
            end_s = time.monotonic() + pause_s
            while time.monotonic() < end_s and not stopped():
                time.sleep(0.1)

    def _swap(self) -> None:
        versions = self._store.versions(self._model)
        champion = self._store.resolve(self._model, "champion")
        self._store.promote(self._model, self._random.choice([v for v in versions if v != champion]))

    def _hang_up(self) -> None:
        self._parent.send_signal(signal.SIGHUP)

    def _kill(self) -> None:
        self._end(signal.SIGKILL)

    def _stop(self) -> None:
        self._end(signal.SIGSTOP)

    def _end(self, sent: int) -> None:
        victim = self._random.choice(workers_of(self._parent))
        began_s = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(victim, sent)
        while Path(f"/proc/{victim}").exists() and time.monotonic() < began_s + 120:
            time.sleep(0.05)
        self.endings.append(Ending(began_s, time.monotonic()))
        while len(workers_of(self._parent)) < self._workers and time.monotonic() < began_s + 180:
            time.sleep(0.1)

    def _fill(self) -> None:
        filler = self._disk / "filler" if self._disk else Path()
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(2**20))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        time.sleep(FULL_S)
        filler.unlink()

    def _restart_postgres(self) -> None:
        if self._postgres:
            self._postgres.stop()
            time.sleep(1)
            self._postgres.start()


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of DISK_BYTES that can be filled; None where none may be mounted."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)
