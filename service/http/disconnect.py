"""Client disconnects: the work for a client that hangs up is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive

PATIENCE_S: Final = 0.05
"""Most requests are answered sooner, so the task that listens for a disconnect starts only after this time."""


class cancel_on_disconnect:  # noqa: N801 - a context manager, like asyncio.timeout
    """Cancels the body of the `async with` block when the client hangs up, and raises ClientDisconnect.

    The request body must have been read to its end: only then is the next message of `receive` the disconnect. Without
    `receive`, nothing is cancelled.
    Not thread-safe: one event loop only.
    """

    def __init__(self, receive: Receive | None, patience_s: float = PATIENCE_S) -> None:
        self._receive, self._patience_s = receive, patience_s
        self._timer: asyncio.TimerHandle | None = None
        self._listener: asyncio.Task[None] | None = None
        self._disconnected = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("want a task to cancel")
        self._task = task
        if self._receive:
            self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._start, self._receive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        if self._listener:
            self._listener.cancel()
            self._listener = None  # its CancelledError -> its frame -> this object -> the task would be a cycle
        if self._disconnected and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from error

    def _start(self, receive: Receive) -> None:
        self._listener = asyncio.create_task(self._listen(receive))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        self._task.cancel()
