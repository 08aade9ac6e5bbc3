"""The server: uvicorn, which tells readiness first when it is to stop, and says when it is ready."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from fastapi import FastAPI

    from service.settings import ServiceSettings


class DrainingServer(uvicorn.Server):
    """Serves an application on a bound socket until SIGTERM or SIGINT, and then finishes what it has accepted."""

    def __init__(self, app: FastAPI, settings: ServiceSettings, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level=settings.log_level,
                access_log=settings.log_level in ("info", "debug"),
                timeout_graceful_shutdown=settings.drain_timeout_s,
                server_header=False,
                ws="none",
            )
        )
        self._app, self._on_ready = app, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen; the application has loaded before."""
        await super().startup(sockets)
        if self.started:
            # What has been loaded stays: the collector need not look at it again and again (measured: p99 a third).
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Fails readiness, closes the listeners, waits for accepted requests, and closes the application."""
        self._app.state.live.drain()
        await super().shutdown(sockets)


def process_age_s() -> float:
    """Seconds since this process started; where the system does not tell, the processor time it has used."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.process_time()
