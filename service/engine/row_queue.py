"""The engine's queue of rows: waiting requests in order of arrival, taken out as batches."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    OnBatch: TypeAlias = Callable[[float, float], None]

Rows: TypeAlias = "np.ndarray[Any, Any]"
"""An array whose first axis counts rows."""


class Request:
    """A request: `taken` rows are in batches, `missing` rows are not computed yet.

    Not thread-safe: one thread at a time.
    """

    __slots__ = ("answer", "arrived_s", "error", "future", "loop", "missing", "on_batch", "rows", "size", "taken")

    def __init__(self, rows: Rows, loop: asyncio.AbstractEventLoop, on_batch: OnBatch | None = None) -> None:
        self.rows, self.loop, self.on_batch = rows, loop, on_batch
        self.size = self.missing = len(rows)
        self.taken = 0
        self.arrived_s = time.perf_counter()
        self.future: asyncio.Future[Rows] = loop.create_future()
        self.answer: Rows | None = None
        self.error: Exception | None = None

    def fill(self, start: int, stop: int, answers: Rows) -> None:
        """Stores the answers [stop - start, …] to rows start…stop."""
        if stop - start == self.size:
            self.answer = answers
        else:
            if self.answer is None:
                self.answer = np.empty((self.size, *answers.shape[1:]), answers.dtype)
            self.answer[start:stop] = answers
        self.missing -= stop - start


class Part(NamedTuple):
    """The rows start…stop of a request that are in one batch."""

    request: Request
    start: int
    stop: int


class RowQueue:
    """First in, first out; a request may leave from the middle. Not thread-safe: one thread at a time."""

    def __init__(self) -> None:
        self.rows = 0
        self._requests: OrderedDict[Request, None] = OrderedDict()  # ordered, and removal is O(1)

    def append(self, request: Request) -> None:
        """Puts a request at the end."""
        self._requests[request] = None
        self.rows += request.size

    def take(self, room: int) -> list[Part]:
        """The next batch of at most `room` rows: large requests are split, small ones packed together.

        Cancelled and expired requests are skipped.
        """
        parts = []
        while room and self._requests:
            request = next(iter(self._requests))
            if request.future.done():  # cancelled or expired, and `leave` not called yet
                self.leave(request)
                continue
            part = Part(request, request.taken, min(request.size, request.taken + room))
            parts.append(part)
            room -= part.stop - part.start
            self.rows -= part.stop - part.start
            request.taken = part.stop
            if request.taken == request.size:
                del self._requests[request]
        return parts

    def leave(self, request: Request) -> None:
        """Takes a request's remaining rows out of the queue."""
        if request in self._requests:
            del self._requests[request]
            self.rows -= request.size - request.taken

    def clear(self) -> list[Request]:
        """Takes all requests out of the queue."""
        requests = list(self._requests)
        self._requests.clear()
        self.rows = 0
        return requests
