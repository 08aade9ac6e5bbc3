"""The supervisor of several worker processes: accepts connections for all, replaces those that die or stand still.

A worker's event loop sends a heartbeat every second. A worker without one for `heartbeat_timeout_s` stands still: it
gets no more connections, those that it has not received are taken back, another one is started in its place, and it is
told to end like the whole service, by SIGTERM and at last by SIGKILL.

Workers are spawned, not forked: JAX has threads, and a fork of a process with threads may deadlock.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import signal
import sys
import tempfile
import time
from collections import deque
from multiprocessing import connection
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.multiprocess import mark_process_dead

from service.observability.process_metrics import SHARED_FOLDER, note_process, release_room
from service.server.listener import STOP_ACCEPTING_GRACE_S, stop_accepting
from service.server.socket_passing import (
    HEARTBEAT_INTERVAL_S,
    receive_heartbeats,
    send_connection,
)
from service.server.terminal import Terminal
from service.server.worker import LATE_END_GRACE_S, run_in_process
from service.server.worker_process import Worker
from training.errors import DigitsError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from service.server.worker_process import Work
    from service.settings import ServiceSettings

BACKLOG: Final = 2048
"""Maximum number of connections that wait to be accepted; uvicorn's default."""
TICK_S: Final = 0.1
PARENT: Final = "parent"
"""The label of the supervisor in the process metrics, beside the workers' places."""
FIRST_BACKOFF_S: Final = 1.0
"""Delay before the restart of a worker that failed while it loaded; doubled with each further failure."""
MAX_BACKOFF_S: Final = 30.0
LOADING_TIMEOUT_S: Final = 300.0
"""The heartbeat timeout of a worker that loads and is not stopped: while it imports its libraries it sends none."""
FULL_GRACE_S: Final = 0.5
"""How long the drain waits for room in the channels of its workers; less than they wait for the end of the channel."""

log = logging.getLogger("uvicorn.error")


def run_supervisor(
    settings: ServiceSettings, listener: socket.socket, on_ready: Callable[[str], None], work: Work = run_in_process
) -> int:
    """Serves with `settings.workers` processes until SIGTERM or SIGINT; returns the exit code.

    `listener` is a bound socket. `on_ready` is called with what is served when all workers are ready. A worker that
    fails before that ends the service with exit code 1; a worker that dies later is replaced while the others go on.
    `work` is what each worker process runs, a function of a module with the arguments of `run_worker`.
    Raises OSError when the socket cannot be listened on.

    The folder that the processes share is made here, removed here, and passed on as a value; only prometheus_client
    needs it in the environment, where it must be before the library is imported.
    """
    with tempfile.TemporaryDirectory(prefix="digits-metrics-") as shared_folder:
        os.environ[SHARED_FOLDER] = shared_folder
        note_process(shared_folder, PARENT)
        return Supervisor(work, settings, shared_folder, listener, on_ready).run()


class Restart(NamedTuple):
    """A worker to be started again at a place: at `due_s` of `time.monotonic`, with the back-off after that."""

    due_s: float
    place: int
    backoff_s: float


class Supervisor:
    """The parent process: starts workers, dispatches connections, replaces workers that die, passes signals on.

    Not thread-safe: one thread at a time.
    """

    def __init__(
        self,
        work: Work,
        settings: ServiceSettings,
        shared_folder: str,
        listener: socket.socket,
        on_ready: Callable[[str], None],
    ) -> None:
        self._work, self._settings, self._shared_folder, self._listener = work, settings, shared_folder, listener
        self._on_ready = on_ready
        self._stopping = self._listening = False
        self._wakeup_reader, self._wakeup_writer = os.pipe()  # a signal handler does not end a wait, a byte does
        self._drain_pause_end_s: float | None = None
        self._backlog_end_s: float | None = None
        self._terminal = Terminal()
        self._exit_code = 0
        self._listen_error: OSError | None = None
        self._workers: list[Worker] = []
        self._restarts: list[Restart] = []
        self._held: deque[socket.socket] = deque()  # accepted, and not sent to a worker yet
        self._looked_s = time.monotonic()
        self._awake_s = 0.0  # a clock that stands still while this process does: it hears nothing meanwhile

    def run(self) -> int:
        """Runs until all workers have ended; returns the exit code. Raises OSError as `run_supervisor` does."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        signal.signal(signal.SIGHUP, self._on_sighup)
        try:
            for place in range(self._settings.workers):
                self._start(place)
            while self._workers or self._restarts:
                self._step()
        finally:
            for worker in self._workers:  # none is left but after an exception: nobody would look after them
                worker.send_signal(signal.SIGKILL)
        if self._listen_error:
            raise self._listen_error
        return self._exit_code

    def _step(self) -> None:
        """Waits for events, and handles them."""
        events = self._wait()
        if self._listener in events:
            self._dispatch_connection()
        while self._held and self._dispatch_connection():
            pass
        if self._stopping and self._listening:
            self._drain_step()
        for worker in list(self._workers):
            self._look_at(worker, events)
        self._start_due()
        self._kill_due()

    def _wait(self) -> Sequence[object]:
        """Waits for the next events, at most for a heartbeat interval.

        The listener is no event while no worker takes connections: until one does, they wait in the backlog.
        """
        takers = self._takers()
        events = connection.wait(
            [worker.process.sentinel for worker in self._workers]
            + [worker.status for worker in self._workers if not worker.ready]
            + [worker.connections for worker in self._workers if not worker.closed]
            + [self._listener] * (self._listening and bool(takers) and not self._held)
            + [self._wakeup_reader] * (not self._stopping),
            TICK_S if self._restarts or self._stopping or self._held else HEARTBEAT_INTERVAL_S,
        )
        now_s = time.monotonic()
        self._awake_s += min(now_s - self._looked_s, HEARTBEAT_INTERVAL_S)
        self._looked_s = now_s
        return events

    def _takers(self) -> list[Worker]:
        """The workers that take connections, those whose last one is longest ago first."""
        return [worker for worker in self._workers if worker.ready and not worker.closed]

    def _start(self, place: int, backoff_s: float = FIRST_BACKOFF_S) -> None:
        if self._stopping:
            return
        try:
            worker = Worker(self._work, self._settings, self._shared_folder, place, backoff_s)
        except OSError as error:  # no process, descriptor or memory is left
            if not self._listening:
                raise
            log.warning("a worker cannot be started: %s; again in %g s", error, backoff_s)
            self._start_later(place, backoff_s)
            return
        worker.heard_s = self._awake_s
        self._workers.append(worker)
        self._stop_late_comer(worker)

    def _start_later(self, place: int, backoff_s: float) -> None:
        self._restarts.append(Restart(time.monotonic() + backoff_s, place, min(2 * backoff_s, MAX_BACKOFF_S)))

    def _stop_late_comer(self, worker: Worker) -> None:
        """Ends a worker if the service was told to stop while the process was started."""
        if self._stopping:
            worker.kill_s = self._drained_s()
            worker.send_signal(signal.SIGTERM)

    def _start_due(self) -> None:
        for restart in [due for due in self._restarts if self._stopping or due.due_s <= time.monotonic()]:
            self._restarts.remove(restart)
            self._start(restart.place, restart.backoff_s)

    def _dispatch_connection(self) -> bool:
        """Sends the next connection to the ready worker whose last one is longest ago.

        Returns False if no connection waits, or no worker has room for it: then it is held here, and all further ones
        wait in the backlog.
        """
        takers = self._takers()
        if not takers:
            return False
        if not self._held:
            try:
                self._held.append(self._listener.accept()[0])
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # no descriptor is left: a retry would fail, too
                    time.sleep(TICK_S)
                return False  # other errors: the client has closed the connection again
        taker = send_connection(self._held[0], [worker.connections for worker in takers])
        if taker is None:
            return False
        self._held.popleft()
        self._workers.sort(key=lambda worker: worker.connections is taker)
        return True

    def _drain_step(self) -> None:
        """Drains the listener, a step a tick: during the drain pause connections are dispatched as before.

        Then new connections are refused, the backlog is dispatched, and the listener and all channels are closed.
        """
        now_s = time.monotonic()
        if self._drain_pause_end_s is None:
            self._drain_pause_end_s = now_s + self._settings.drain_pause_s
        elif self._backlog_end_s is None and now_s >= self._drain_pause_end_s:
            stop_accepting(self._listener)
            self._backlog_end_s = now_s + STOP_ACCEPTING_GRACE_S
        elif self._backlog_end_s is not None and now_s >= self._backlog_end_s:
            while self._dispatch_connection():
                pass
            if self._held and self._takers() and now_s < self._backlog_end_s + FULL_GRACE_S:
                return
            self._listening = False
            self._listener.close()
            for held in self._held:
                held.close()
            self._held.clear()
            for worker in self._workers:
                worker.close_channel()

    def _look_at(self, worker: Worker, events: Sequence[object]) -> None:
        """Handles the events of a worker: its status, its heartbeats, or their absence, and its end."""
        if worker.status in events and not worker.ready:
            self._read_status(worker)
        if worker.connections in events and receive_heartbeats(worker.connections):
            worker.heard_s = self._awake_s
        if worker.process.sentinel in events:
            self._reap(worker)
        elif self._listening and not self._stopping and not worker.closed:
            silent_s = self._awake_s - worker.heard_s
            limit_s = self._settings.heartbeat_timeout_s
            if silent_s > (limit_s if worker.ready else LOADING_TIMEOUT_S) or (silent_s > limit_s and worker.stopped):
                self._replace(worker, silent_s)

    def _replace(self, worker: Worker, silent_s: float) -> None:
        """Replaces a worker whose heartbeats have stopped. One that is stopped obeys no SIGTERM, and is killed."""
        stopped = worker.stopped
        how = "is stopped: killed and" if stopped else f"has sent no heartbeat for {silent_s:.0f} s:"
        log.error("worker %s %s replaced", worker.process.pid, how)
        self._held.extend(worker.take_back())
        worker.close_channel()
        worker.kill_s = self._drained_s()
        worker.send_signal(signal.SIGKILL if stopped else signal.SIGTERM)
        self._start(worker.place)

    def _kill_due(self) -> None:
        """Kills the workers that have not ended in time."""
        for worker in self._workers:
            if time.monotonic() >= worker.kill_s:
                log.error("worker %s has not ended in time: killed", worker.process.pid)
                worker.kill_s = math.inf
                worker.send_signal(signal.SIGKILL)
                self._exit_code = self._exit_code or int(self._stopping)

    def _drained_s(self) -> float:
        """The time at which a worker that gets its first signal now must have ended."""
        return time.monotonic() + self._settings.drain_pause_s + self._settings.drain_timeout_s + LATE_END_GRACE_S

    def _read_status(self, worker: Worker) -> None:
        """Reads what a worker serves, or why it cannot; when the last worker is ready, starts to listen."""
        try:
            served = worker.status.recv()
        except EOFError:  # the worker has died: its sentinel is handled by `_reap`
            return
        if isinstance(served, DigitsError):
            if self._listening or not self._exit_code:  # at the start, all workers fail for the same reason
                sys.stderr.write(f"error: {served}\n")
            if not self._listening:
                self._exit_code = 1
            return
        worker.ready, worker.heard_s = True, self._awake_s
        if not self._listening and len(self._workers) == self._settings.workers:
            self._listening = all(worker.ready for worker in self._workers)
            if self._listening:
                self._listen(served)

    def _listen(self, served: str) -> None:
        try:
            self._listener.setblocking(False)
            self._listener.listen(BACKLOG)
        except OSError as error:  # another program listens on the port since it was bound here
            self._listening, self._listen_error = False, error
            self._stop(signal.SIGTERM)
        else:
            self._on_ready(served)

    def _reap(self, worker: Worker) -> None:
        """Releases a worker that has ended, and replaces it: at once, or after its back-off if it failed to load."""
        replaced = worker.closed
        if self._listening and not replaced:
            self._held.extend(worker.take_back())
        worker.close()
        mark_process_dead(worker.process.pid, self._shared_folder)  # type: ignore[no-untyped-call]
        release_room(self._shared_folder, worker.process.pid or 0)
        self._workers.remove(worker)
        if self._stopping or replaced:
            return
        pid, code = worker.process.pid, worker.process.exitcode
        if worker.ready:
            log.error("worker %s has ended with %s: replaced", pid, code)
            self._start(worker.place)
        elif not self._listening:  # at the start: another worker would fail for the same reason
            self._exit_code = 1
            self._stop(signal.SIGTERM)
        elif code is not None and code < 0:  # killed by a signal: no reason to expect the same of the next worker
            log.error("worker %s has ended with %s while it loaded: replaced", pid, code)
            self._start(worker.place, worker.backoff_s)
        else:
            backoff_s = worker.backoff_s
            log.error("worker %s has ended with %s while it loaded: replaced in %g s", pid, code, backoff_s)
            self._start_later(worker.place, backoff_s)

    def _stop(self, sig: int, *_: object) -> None:
        """Handles SIGTERM and SIGINT, which workers get too: the first one starts the drain, a second one ends them."""
        end_s = time.monotonic() + LATE_END_GRACE_S if self._stopping else self._drained_s()
        if not self._stopping:
            self._stopping = True
            os.write(self._wakeup_writer, b"!")
        for worker in self._workers:
            worker.kill_s = min(worker.kill_s, end_s)
            worker.send_signal(sig)

    def _on_sighup(self, *_: object) -> None:
        """Makes workers poll the store, or stops the service if its terminal was closed."""
        if self._terminal.closed:
            self._stop(signal.SIGTERM)
            return
        for worker in self._takers():  # a worker that is not ready has yet to read the store
            worker.send_signal(signal.SIGHUP)
