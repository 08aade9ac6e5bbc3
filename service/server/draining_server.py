"""The server: uvicorn, which tells readiness first when it is to stop, and says when it is ready."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, cast

import uvicorn

from service.private_api import require_members
from service.server.http_protocol import UVICORN, ConnectionLimits, HttpProtocol, SharedState
from service.server.listener import STOP_ACCEPTING_GRACE_S, stop_accepting
from service.server.socket_passing import receive_connection
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
    *("run", "startup", "on_tick", "shutdown", "handle_exit"),
    *("started", "should_exit", "force_exit", "server_state", "lifespan", "config"),
)
log = logging.getLogger("uvicorn.error")

TICK_S: Final = 0.05
TICKS_BETWEEN_LOOKS: Final = 5
"""Of a tenth of a second each."""
TICKS_BETWEEN_REFRESHES: Final = 10
LAST_HANDED_OUT_S: Final = 1.0
"""After the pause, whoever hands out connections has so long to say that there are no more."""
SWITCH_S: Final = 0.0001
"""How long an engine that has its answers waits for the interpreter at most; Python's own 5 ms are longer than a batch
takes, and at 0.5 ms an engine waits a tenth of its time beside long bodies (measured)."""


class DrainingServer(uvicorn.Server):
    """Serves an application until SIGTERM or SIGINT, and then finishes what it has accepted.

    That is on bound sockets, or what is handed out at `connections`, the end of a channel. `on_hang_up` is called on
    SIGHUP, unless that says that the terminal has been closed, which ends the service, too.
    """

    def __init__(
        self,
        app: FastAPI,
        state: ServiceState,
        on_ready: Callable[[], None],
        connections: socket.socket | None = None,
        on_hang_up: Callable[[], None] | None = None,
    ) -> None:
        settings = state.settings
        limits = ConnectionLimits(
            settings.header_timeout_s,
            settings.body_timeout_s,
            settings.keep_alive_timeout_s,
            settings.connection_limit,
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
                proxy_headers=False,  # nobody asks for the client's address
                http=self._protocol,
                ws="none",
            )
        )
        self._state, self._on_ready, self._pause_s = state, on_ready, settings.drain_pause_s
        self.server_state = self._shared = SharedState()
        self._connections, self._on_hang_up = connections, on_hang_up
        self._all_taken = asyncio.Event()
        self._opening: set[asyncio.Task[object]] = set()  # nobody else holds on to them

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen; the application has loaded before."""
        await super().startup(sockets)
        if self.started:
            # What has been loaded stays: the collector need not look at it again and again (measured: p99 a third).
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            sys.setswitchinterval(SWITCH_S)
            if self._connections:
                asyncio.get_running_loop().add_reader(self._connections, self._take, self._connections)
            if self._on_hang_up:
                terminal = Terminal()
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up, terminal, self._on_hang_up)
            self._on_ready()

    def _hang_up(self, terminal: Terminal, call: Callable[[], None]) -> None:
        if terminal.gone:
            self.handle_exit(signal.SIGTERM, None)
        else:
            call()

    def _take(self, connections: socket.socket) -> None:
        """Serves the next connection that was handed out."""
        loop = asyncio.get_running_loop()
        try:
            connection = receive_connection(connections)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("%s", error)
            return
        if connection is None:
            loop.remove_reader(connections)
            self._all_taken.set()
            return
        protocol = self._protocol(self.config, self.server_state, self.lifespan.state, loop)
        opening = loop.create_task(loop.connect_accepted_socket(lambda: protocol, connection, ssl=self.config.ssl))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def on_tick(self, counter: int) -> bool:
        """Looks at all connections, and says to other workers what this one is doing."""
        if counter % TICKS_BETWEEN_LOOKS == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast("HttpProtocol", connection).check_timeouts(now_s)
        if counter % TICKS_BETWEEN_REFRESHES == 0:
            self._state.metrics.refresh()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Fails readiness, pauses, closes the listeners, waits for accepted requests, and closes the application.

        During the pause whoever sends requests has time to notice, and to send them elsewhere; answers tell clients to
        connect anew. Who has connected before the listeners are closed is served.
        """
        self._state.registry.drain()
        self._shared.drain()
        await self._wait(self._pause_s)
        if self._connections:
            await self._wait(LAST_HANDED_OUT_S, self._all_taken)
            asyncio.get_running_loop().remove_reader(self._connections)
            self._connections.close()
        for listener in sockets or []:
            stop_accepting(listener)
        await self._wait(STOP_ACCEPTING_GRACE_S)
        await super().shutdown(sockets)

    async def _wait(self, seconds: float, until: asyncio.Event | None = None) -> None:
        """Waits so long, or until something happens, or until a second signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.force_exit and not (until and until.is_set()):
            await asyncio.sleep(min(TICK_S, seconds))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Obeys SIGTERM and SIGINT: the first one ends the service well, the second one at once."""
        if self.should_exit:
            self.force_exit = True
        super().handle_exit(sig, frame)
