"""A worker for the supervisor without JAX, FastAPI and uvicorn, and a program that runs a supervisor of several.

    python -m tests.support.plain_worker PORT FOLDER WORKERS SETTING=SECONDS … CONSTANT_OF_THE_SUPERVISOR=SECONDS …

A worker fails to load with the text of FOLDER/fail as its error, and does not end loading while FOLDER/hold exists.
Each request is answered with the worker's process id, and with how often it was told to poll the store; GET /hang is
never answered, and GET /stall when FOLDER/go-on exists. While FOLDER/full exists, a worker receives no connections;
while FOLDER/no-process exists, no worker can be started.
"""

import errno
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from service.server import supervisor
from service.server.socket_passing import receive_connection, send_heartbeat
from training.errors import DigitsError

SERVED = "plain version 1"
STEP_S = 0.02
HEARTBEAT_INTERVAL_S = 0.2
"""Shorter than that of a real worker: tests need not wait long to see that there is none."""
LAST_CONNECTION_GRACE_S = 1.0
"""As `service.server.draining_server` has it."""


class PlainWorker:
    """What a worker process runs in place of `service.server.worker.run_worker`."""

    def __init__(self, settings, connections):
        self._settings, self._channel = settings, connections
        self._clients = []
        self._polls = 0
        self._signals = 0
        self._channel_closed = False
        self._beat_s = 0.0

    def load(self):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        folder = Path(self._settings.folder)
        while (folder / "hold").exists():
            time.sleep(STEP_S)
        if (folder / "fail").exists():
            raise DigitsError((folder / "fail").read_text())
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_sighup)

    def serve(self):
        """Serves until a signal; then for the drain pause, and until the channel is closed, or a second signal."""
        while not self._signals:
            self._step()
        end_s = time.monotonic() + self._settings.drain_pause_s
        last_s = end_s + LAST_CONNECTION_GRACE_S
        while self._signals == 1 and time.monotonic() < (end_s if self._channel_closed else last_s):
            self._step()

    def _step(self):
        if time.monotonic() > self._beat_s:
            self._beat_s = time.monotonic() + HEARTBEAT_INTERVAL_S
            send_heartbeat(self._channel)
        full = self._channel_closed or Path(self._settings.folder, "full").exists()
        sockets = [*self._clients] if full else [self._channel, *self._clients]
        for ready in select.select(sockets, [], [], STEP_S)[0]:
            if ready is self._channel:
                self._take()
            else:
                self._answer(ready)

    def _take(self):
        connection = receive_connection(self._channel)
        if connection:
            self._clients.append(connection)
        else:
            self._channel_closed = True

    def _answer(self, client):
        request = client.recv(65536)
        if not request:
            self._clients.remove(client)
            client.close()
            return
        if request.startswith(b"GET /hang"):  # as an event loop does that calls something that never returns
            while True:
                time.sleep(STEP_S)
        if request.startswith(b"GET /stall"):
            while not Path(self._settings.folder, "go-on").exists():
                time.sleep(STEP_S)
        body = f"{os.getpid()} {self._polls}"
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def _on_stop(self, *_):
        self._signals += 1

    def _on_sighup(self, *_):
        self._polls += 1


def work(settings, on_ready, *, connections, place, notify_workers, shared_folder):
    worker = PlainWorker(settings, connections)
    worker.load()
    on_ready(SERVED)
    worker.serve()


class FailingWorker(supervisor.Worker):
    """A worker whose process cannot be started while FOLDER/no-process exists."""

    def __init__(self, work, settings, *arguments):
        if Path(settings.folder, "no-process").exists():
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        super().__init__(work, settings, *arguments)


def main(port, folder, workers, *settings):
    chosen = SimpleNamespace(folder=folder, workers=int(workers), drain_pause_s=0, drain_timeout_s=20)
    chosen.heartbeat_timeout_s = 60
    for setting in settings:
        name, _, value = setting.partition("=")
        setattr(supervisor if name.isupper() else chosen, name, float(value))
    supervisor.Worker = FailingWorker
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))

        def on_ready(served):
            sys.stdout.write(f"{served} is ready at http://127.0.0.1:{listener.getsockname()[1]}\n")
            sys.stdout.flush()

        try:
            code = supervisor.run_supervisor(chosen, listener, on_ready, work)
        except OSError as error:
            sys.exit(f"error: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
