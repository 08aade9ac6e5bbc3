"""Several processes that serve, each with its share of the processors, and one that accepts and looks after them.

They are spawned and not forked: JAX has threads, and a fork of a process with threads may stand still.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.multiprocess import mark_process_dead

from service.observability.process_metrics import SHARED_FOLDER, note_process
from service.server.listener import STOP_ACCEPTING_GRACE_S, stop_accepting
from service.server.socket_passing import channel, send_connection
from service.server.terminal import Terminal
from training.errors import DigitsError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from service.settings import ServiceSettings

BACKLOG: Final = 2048
"""Connections that wait to be accepted; uvicorn's own number."""
TICK_S: Final = 0.1
PARENT: Final = "parent"
"""What this process is called among the workers, where their memory is counted."""
SHORTEST_PAUSE_S: Final = 1.0
"""Before a worker is started again that failed by itself while it loaded, and then twice as long every time."""
LONGEST_PAUSE_S: Final = 30.0

log = logging.getLogger("uvicorn.error")


class Worker:
    """A process that serves; `place` of how many it is decides about its processors.

    If it fails by itself while it loads, the next one is to wait for `pause_s`. It tells what it serves, or why not.
    """

    def __init__(self, settings: ServiceSettings, place: int, pause_s: float) -> None:
        context = get_context("spawn")
        self.place, self.pause_s, self.ready = place, pause_s, False
        self.told, telling = context.Pipe(duplex=False)
        self.connections, taken = channel()
        self.process = context.Process(target=_work, args=(settings, taken, place, telling), name=f"worker-{place}")
        self.process.start()
        telling.close()
        taken.close()

    def close(self) -> None:
        """Forgets a process that has ended."""
        self.process.join()
        self.told.close()
        self.connections.close()


def run_supervisor(settings: ServiceSettings, listener: socket.socket, on_ready: Callable[[str], None]) -> int:
    """Serves with `settings.workers` processes until SIGTERM or SIGINT; returns the exit code.

    `on_ready` is told what is served when all of them are. Until then, who cannot even start ends them all, with exit
    code 1. From then on, whoever dies is replaced, and the others go on whatever becomes of it. Raises OSError when the
    socket cannot be listened on.
    """
    with tempfile.TemporaryDirectory(prefix="digits-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        note_process(folder, PARENT)
        return Supervisor(settings, listener, on_ready).run()


class _Again(NamedTuple):
    """A place that is to be taken again, and when, as `time.monotonic` counts."""

    due_s: float
    place: int
    pause_s: float


class Supervisor:
    """The parent process: starts workers, deals out connections, replaces workers that die, passes signals on."""

    def __init__(self, settings: ServiceSettings, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
        self._settings, self._listener, self._on_ready = settings, listener, on_ready
        self._stopping = self._announced = False
        self._woken, self._waking = os.pipe()  # a signal alone does not end a wait
        self._let_in_until: float | None = None
        self._listen_until: float | None = None
        self._terminal = Terminal()
        self._exit_code = 0
        self._failure: OSError | None = None
        self._workers: list[Worker] = []
        self._again: list[_Again] = []

    def run(self) -> int:
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        for place in range(self._settings.workers):
            self._start(place)
        while self._workers or self._again:
            events = connection.wait(
                [worker.process.sentinel for worker in self._workers]
                + [worker.told for worker in self._workers if not worker.ready]
                + [self._listener] * self._announced
                + [self._woken] * (not self._stopping),
                TICK_S if self._again or self._stopping else None,
            )
            if self._listener in events:
                self._accept()
            if self._stopping and self._announced:
                self._close_in_time()
            for worker in list(self._workers):
                if worker.told in events and not worker.ready:
                    self._hear(worker)
                if worker.process.sentinel in events:
                    self._bury(worker)
            self._start_again()
        if self._failure:
            raise self._failure
        return self._exit_code

    def _start(self, place: int, pause_s: float = SHORTEST_PAUSE_S) -> None:
        if not self._stopping:
            self._workers.append(Worker(self._settings, place, pause_s))

    def _start_again(self) -> None:
        for again in [again for again in self._again if self._stopping or again.due_s <= time.monotonic()]:
            self._again.remove(again)
            self._start(again.place, again.pause_s)

    def _accept(self) -> bool:
        """Deals out a connection: to whoever is ready and has waited longest for one. Whether there was one."""
        try:
            accepted, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # it will not be better in the next moment
                time.sleep(TICK_S)
            return False  # or the client has left again
        taker = send_connection(accepted, [worker.connections for worker in self._workers if worker.ready])
        self._workers.sort(key=lambda worker: worker.connections is taker)
        return True

    def _close_in_time(self) -> None:
        """Deals out connections during the pause, and all that have come when it is over; then there are no more."""
        now = time.monotonic()
        if self._let_in_until is None:
            self._let_in_until = now + self._settings.drain_pause_s
        elif self._listen_until is None and now >= self._let_in_until:
            stop_accepting(self._listener)
            self._listen_until = now + STOP_ACCEPTING_GRACE_S
        elif self._listen_until is not None and now >= self._listen_until:
            while self._accept():
                pass
            self._announced = False
            self._listener.close()
            for worker in self._workers:
                worker.connections.close()  # it is told that there are no more

    def _hear(self, worker: Worker) -> None:
        try:
            served = worker.told.recv()
        except EOFError:  # it died, which its sentinel tells, too
            return
        if isinstance(served, DigitsError):
            if self._announced or not self._exit_code:  # at first, the others have the same to say
                sys.stderr.write(f"error: {served}\n")
            if not self._announced:
                self._exit_code = 1
            return
        worker.ready = True
        if not self._announced and len(self._workers) == self._settings.workers:
            self._announced = all(worker.ready for worker in self._workers)
            if self._announced:
                self._open(served)

    def _open(self, served: str) -> None:
        try:
            self._listener.setblocking(False)
            self._listener.listen(BACKLOG)
        except OSError as error:  # another program was quicker
            self._announced, self._failure = False, error
            self._stop(signal.SIGTERM)
        else:
            self._on_ready(served)

    def _bury(self, worker: Worker) -> None:
        worker.close()
        mark_process_dead(worker.process.pid, os.environ[SHARED_FOLDER])  # type: ignore[no-untyped-call]
        self._workers.remove(worker)
        if self._stopping:
            return
        pid, code = worker.process.pid, worker.process.exitcode
        if worker.ready:
            log.error("worker %s has ended with %s: replaced", pid, code)
            self._start(worker.place)
        elif not self._announced:  # it has said why, and the next one would not fare better
            self._exit_code = 1
            self._stop(signal.SIGTERM)
        elif code is not None and code < 0:  # a signal, of which the next one may never hear
            log.error("worker %s has ended with %s while it loaded: replaced", pid, code)
            self._start(worker.place, worker.pause_s)
        else:
            pause_s = worker.pause_s
            log.error("worker %s has ended with %s while it loaded: replaced in %g s", pid, code, pause_s)
            self._again.append(_Again(time.monotonic() + pause_s, worker.place, min(2 * pause_s, LONGEST_PAUSE_S)))

    def _stop(self, sig: int, *_: object) -> None:
        if not self._stopping:
            self._stopping = True
            os.write(self._waking, b"!")
        self._tell(self._workers, sig)

    def _hang_up(self, *_: object) -> None:
        if self._terminal.gone:
            self._stop(signal.SIGTERM)
        else:  # who is not ready yet will look at the store anyway
            self._tell([worker for worker in self._workers if worker.ready], signal.SIGHUP)

    def _tell(self, workers: list[Worker], sig: int) -> None:
        for worker in workers:
            if worker.process.pid and worker.process.is_alive():
                os.kill(worker.process.pid, sig)


def _work(settings: ServiceSettings, connections: socket.socket, place: int, telling: Connection) -> None:
    from service.observability.logs import configure_logs
    from service.server.worker import run_worker

    configure_logs(settings.log_level, settings.log_format)
    note_process(os.environ[SHARED_FOLDER], str(place))
    os.setpgrp()  # Ctrl-C is for the parent, which passes it on; twice would mean at once
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "sched_setaffinity"):  # XLA takes as many threads as it may use processors
        os.sched_setaffinity(0, share(sorted(os.sched_getaffinity(0)), place, settings.workers))
    try:
        run_worker(settings, telling.send, connections=connections, place=place, tell_others=_tell_parent)
    except (DigitsError, OSError, ImportError) as error:
        telling.send(DigitsError(str(error)))
        sys.exit(1)


def _tell_parent() -> None:
    """Makes every worker look at the store: the parent passes the signal on."""
    os.kill(os.getppid(), signal.SIGHUP)


def share(processors: list[int], place: int, workers: int) -> list[int]:
    """The processors of the worker at a place: about as many for each; one that others have, too, if it must be."""
    return processors[place::workers] or [processors[place % len(processors)]]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
