"""uvicorn's server with a graceful drain: fails readiness, pauses, stops accepting, and finishes all requests."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import uvicorn

from service.memory import GarbageCollection
from service.private_api import require_members
from service.server.http_protocol import UVICORN, ConnectionLimits, HttpProtocol, SharedState
from service.server.listener import STOP_ACCEPTING_GRACE_S, stop_accepting
from service.server.refusals import TOO_MANY_CONNECTIONS
from service.server.socket_passing import (
    HEARTBEAT_INTERVAL_S,
    receive_connection,
    send_heartbeat,
    stop_receiving,
)
from service.server.terminal import Terminal

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from fastapi import FastAPI

    from service.state import ServiceState

require_members(
    "uvicorn",
    UVICORN,
    uvicorn.Server,
    *("run", "serve", "startup", "on_tick", "shutdown", "handle_exit"),
    *("started", "should_exit", "force_exit", "server_state", "lifespan", "config"),
)
log = logging.getLogger("uvicorn.error")

WAIT_STEP_S: Final = 0.05
TICKS_BETWEEN_TIMEOUT_CHECKS: Final = 5
"""A tick of uvicorn's server is 0.1 s."""
TICKS_BETWEEN_REFRESHES: Final = 10
LAST_CONNECTION_GRACE_S: Final = 1.0
"""How long the drain waits, after its pause, for the supervisor to close the channel of connections."""
CONNECTIONS_AT_ONCE: Final = 64
"""Connections that are taken at a time. The event loop would accept one a poll, and a poll of a busy one takes long: a
full backlog drops handshakes, which are tried again after 1, 3, 7 s."""
QUIET_POLLS: Final = 4
"""Polls of the event loop without a new connection, after which the backlog is empty and its requests are read."""
SWITCH_S: Final = 0.0001
"""The interpreter's thread switch interval: how long an engine thread with a finished batch waits for the GIL at most.
Python's default of 5 ms is longer than a batch takes; at 0.5 ms an engine thread waits a tenth of its time beside long
bodies (measured)."""


class DrainingServer(uvicorn.Server):
    """Serves an application until SIGTERM or SIGINT; then drains: finishes all accepted requests and ends.

    Connections come from the bound sockets of `run`, or from `connections`, the receiving end of the supervisor's
    channel. `on_ready` is called when the server accepts connections, `on_sighup` on SIGHUP; a SIGHUP because the
    terminal was closed drains, as SIGTERM does. `on_stop` is called on the first signal to stop, inside of its handler,
    and `on_end` when the drain is over; what follows, the end of the event loop, may hang with a thread of its
    executor. Not thread-safe: one event loop only.
    """

    def __init__(
        self,
        app: FastAPI,
        state: ServiceState,
        on_ready: Callable[[], None],
        connections: socket.socket | None = None,
        on_sighup: Callable[[], None] | None = None,
        on_end: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        settings = state.settings
        limits = ConnectionLimits(
            settings.header_timeout_s,
            settings.body_timeout_s,
            settings.keep_alive_timeout_s,
            settings.connection_limit,
            settings.connection_max_age_s,
        )
        self._protocol = HttpProtocol.with_limits(limits, state.metrics.requests.refused)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level=settings.log_level,
                access_log=False,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                timeout_graceful_shutdown=settings.drain_timeout_s,
                server_header=False,
                proxy_headers=False,  # a client could make up its address
                http=self._protocol,
                interface="asgi3",
                ws="none",
            )
        )
        self._handshake_timeout_s = settings.header_timeout_s if settings.tls_cert else None
        self._state, self._on_ready, self._drain_pause_s = state, on_ready, settings.drain_pause_s
        self.server_state = self._shared = SharedState(state.requests)
        self._connections, self._on_sighup = connections, on_sighup
        self._on_end, self._on_stop = on_end, on_stop
        self._channel_closed = asyncio.Event()
        self._garbage = GarbageCollection()
        self._opening: set[asyncio.Task[object]] = set()  # the event loop holds only weak references to tasks

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until the drain is over."""
        try:
            await super().serve(sockets)
        finally:
            self._on_end()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen. Models are loaded before; what they allocate is excluded from garbage collection."""
        await super().startup([])
        if self.started:
            loop = asyncio.get_running_loop()
            self.servers = [await self._listen(loop, listener) for listener in sockets or []]
            self._garbage.start()
            sys.setswitchinterval(SWITCH_S)
            self._state.metrics.loop_lag.start(loop)
            if self._connections:
                loop.add_reader(self._connections, self._serve_next, self._connections)
                self._beat(self._connections)
            if self._on_sighup:
                loop.add_signal_handler(signal.SIGHUP, self._handle_sighup, Terminal(), self._on_sighup)
            self._on_ready()

    async def _listen(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> asyncio.Server:
        """Accepts connections. A TLS handshake has as much time as a request's head; uvicorn gives it a minute."""

        def make_protocol() -> HttpProtocol:
            loop.call_soon(self._accept_more, loop, listener)
            return self._make_protocol(loop)

        return await loop.create_server(
            make_protocol,
            sock=listener,
            backlog=self.config.backlog,
            ssl=self.config.ssl,
            ssl_handshake_timeout=self._handshake_timeout_s,
        )

    def _make_protocol(self, loop: asyncio.AbstractEventLoop) -> HttpProtocol:
        return self._protocol(self.config, self._shared, self.lifespan.state, loop)

    def _beat(self, connections: socket.socket) -> None:
        """Sends a heartbeat, now and at intervals until the event loop ends."""
        send_heartbeat(connections)
        asyncio.get_running_loop().call_later(HEARTBEAT_INTERVAL_S, self._beat, connections)

    def _handle_sighup(self, terminal: Terminal, on_sighup: Callable[[], None]) -> None:
        if terminal.closed:
            self.handle_exit(signal.SIGTERM, None)
        else:
            on_sighup()

    def _accept_more(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Accepts further connections, behind one that the event loop has accepted."""
        with suppress(OSError):  # there are no more, or no more descriptors
            for _ in range(CONNECTIONS_AT_ONCE):
                connection, _ = listener.accept()
                connection.setblocking(False)
                self._begin_opening(loop, connection)

    def _serve_next(self, connections: socket.socket) -> None:
        """Serves the next connections from the supervisor."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS_AT_ONCE):
            try:
                connection = receive_connection(connections)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("%s", error)
                return
            if connection is None:
                loop.remove_reader(connections)
                self._channel_closed.set()
                return
            self._begin_opening(loop, connection)

    def _begin_opening(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Opens an accepted connection, unless too many are being opened."""
        if len(self._opening) >= self._protocol.connection_limit:  # of TLS, which have not shaken hands
            self._protocol.count_refusal(TOO_MANY_CONNECTIONS.code)
            connection.close()
            return
        opening = loop.create_task(self._open(loop, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        with suppress(OSError):  # no handshake, or none in time
            await loop.connect_accepted_socket(
                lambda: self._make_protocol(loop),
                connection,
                ssl=self.config.ssl,
                ssl_handshake_timeout=self._handshake_timeout_s,
            )

    async def on_tick(self, counter: int) -> bool:
        """Checks the timeouts of all connections, and updates the metrics that the workers share."""
        if counter % TICKS_BETWEEN_TIMEOUT_CHECKS == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast("HttpProtocol", connection).check_timeouts(now_s)
        if counter % TICKS_BETWEEN_REFRESHES == 0:
            self._state.metrics.refresh()
            self._garbage.check()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains: fails readiness, pauses, closes the listeners, finishes accepted requests, closes the application.

        The pause gives load balancers time to notice that readiness fails; answers have `Connection: close`, so that
        clients connect elsewhere. Connections made before the listeners are closed are served.
        """
        self._state.registry.drain()
        self._shared.drain()
        await self._wait(self._drain_pause_s)
        if self._connections:
            await self._wait(LAST_CONNECTION_GRACE_S, self._channel_closed)
            stop_receiving(self._connections)
            await self._wait(LAST_CONNECTION_GRACE_S, self._channel_closed)  # until what it holds is received
        for listener in sockets or []:
            stop_accepting(listener)
        await self._wait(STOP_ACCEPTING_GRACE_S)
        await self._accept_backlog()
        await super().shutdown(sockets)

    async def _accept_backlog(self) -> None:
        """Accepts the connections in the backlog, and reads their requests.

        On a busy machine the grace is over before all are accepted, and closing a listener or a connection with unread
        data resets them.
        """
        quiet = 0
        while quiet < QUIET_POLLS and not self.force_exit:
            before = set(self.server_state.connections)
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.server_state.connections <= before else 0

    async def _wait(self, seconds: float, until: asyncio.Event | None = None) -> None:
        """Waits for a number of seconds, or until an event, or until a second signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.force_exit and not (until and until.is_set()):
            await asyncio.sleep(min(WAIT_STEP_S, seconds))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn names them
        """Handles SIGTERM and SIGINT: the first one starts the drain, a second one ends it at once.

        Unlike uvicorn's, it does not raise the signal again after the drain.
        """
        if self.should_exit:
            self.force_exit = True
        else:
            self._on_stop()
        self.should_exit = True
