"""A worker process as its supervisor sees it, and what a worker process does before and after its work."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING

from service.observability.process_metrics import note_process
from service.server.socket_passing import channel, receive_connection
from training.errors import DigitsError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from service.settings import ServiceSettings

    Work = Callable[..., None]


class Worker:
    """A worker process as the supervisor sees it.

    `place`, 0 to workers - 1, selects its processors; `backoff_s` is the delay before the next restart if it fails
    while it loads. `status` is a pipe on which the worker reports what it serves (str), or why it cannot (DigitsError);
    `connections` is the channel on which it is sent its connections, and sends heartbeats, until `closed`. `heard_s` is
    the time of the last heartbeat, `kill_s` the time at which the worker is killed if it has not ended.
    """

    def __init__(self, work: Work, settings: ServiceSettings, shared_folder: str, place: int, backoff_s: float) -> None:
        context = get_context("spawn")
        self.place, self.backoff_s, self.ready = place, backoff_s, False
        self.heard_s, self.kill_s, self.closed = 0.0, math.inf, False
        self.status, status_of_worker = context.Pipe(duplex=False)
        self.connections, self._receiver = channel()
        self.process = context.Process(
            target=_run_worker_process,
            args=(work, settings, shared_folder, place, self._receiver, status_of_worker),
            name=f"worker-{place}",
        )
        self.process.start()
        status_of_worker.close()

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped, as by SIGSTOP: then it obeys no signal but SIGKILL and SIGCONT."""
        try:
            return os.waitid(os.P_PID, self.process.pid or 0, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # it has ended
            return False

    def send_signal(self, sig: int) -> None:
        """Sends a signal to the process, if it has not ended."""
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, sig)

    def take_back(self) -> list[socket.socket]:
        """The connections in the channel that the worker has not received; they are received here or there."""
        found = []
        with suppress(OSError):  # the channel is empty, or this process has no descriptor left
            while connection := receive_connection(self._receiver):
                found.append(connection)
        return found

    def close_channel(self) -> None:
        """Closes the channel: what it holds can still be received, and a worker that drains waits for no more."""
        self.closed = True
        self.connections.close()
        self._receiver.close()

    def close(self) -> None:
        """Releases what the supervisor holds of a process that has ended."""
        self.process.join()
        self.status.close()
        self.close_channel()


def _run_worker_process(
    work: Work,
    settings: ServiceSettings,
    shared_folder: str,
    place: int,
    connections: socket.socket,
    status: Connection,
) -> None:
    """Runs `work` in a worker process, and reports on `status` what it serves, or why it cannot."""
    note_process(shared_folder, str(place))
    os.setpgrp()  # Ctrl-C goes to the supervisor alone, which passes it on; a worker would take two as "end at once"
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    if hasattr(os, "sched_setaffinity"):  # XLA starts as many threads as it may use processors
        os.sched_setaffinity(0, share(sorted(os.sched_getaffinity(0)), place, settings.workers))
    try:
        work(
            settings,
            status.send,
            connections=connections,
            place=place,
            notify_workers=_sighup_supervisor,
            shared_folder=shared_folder,
        )
    except (DigitsError, OSError, ImportError) as error:
        status.send(DigitsError(str(error)))
        sys.exit(1)


def _sighup_supervisor() -> None:
    """Makes every worker poll the store: the supervisor passes SIGHUP on."""
    os.kill(os.getppid(), signal.SIGHUP)


def share(processors: list[int], place: int, workers: int) -> list[int]:
    """The processors of the worker at a place: disjoint shares, or one shared processor if there are too few."""
    return processors[place::workers] or [processors[place % len(processors)]]


def _stop_with_supervisor() -> None:
    """Waits for the end of the supervisor, and then stops this worker."""
    supervisor = parent_process()
    if supervisor:
        connection.wait([supervisor.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
