"""Requests that wait for their rows to be computed, in the order of their arrival."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Timed: TypeAlias = Callable[[float, float], None]

Rows: TypeAlias = "np.ndarray[Any, Any]"
"""An array whose first axis counts rows."""


class Request:
    """A waiting request: `taken` rows are in batches, `missing` rows are not computed yet."""

    __slots__ = ("answer", "arrived_s", "error", "future", "loop", "missing", "rows", "size", "taken", "timed")

    def __init__(self, rows: Rows, loop: asyncio.AbstractEventLoop, timed: Timed | None = None) -> None:
        self.rows, self.loop, self.timed = rows, loop, timed
        self.size = self.missing = len(rows)
        self.taken = 0
        self.arrived_s = time.perf_counter()
        self.future: asyncio.Future[Rows] = loop.create_future()
        self.answer: Rows | None = None
        self.error: Exception | None = None

    def fill(self, start: int, stop: int, answers: Rows) -> None:
        """Keeps the answers to rows start…stop."""
        if stop - start == self.size:
            self.answer = answers
        else:
            if self.answer is None:
                self.answer = np.empty((self.size, *answers.shape[1:]), answers.dtype)
            self.answer[start:stop] = answers
        self.missing -= stop - start


class Part(NamedTuple):
    """Rows start…stop of one request, the share of it that goes into one batch."""

    request: Request
    start: int
    stop: int


class RowQueue:
    """First in, first out; a request may leave from the middle. Not thread-safe: the engine's lock guards it."""

    def __init__(self) -> None:
        self.rows = 0
        self._requests: OrderedDict[Request, None] = OrderedDict()  # leaving from the middle costs no search

    def append(self, request: Request) -> None:
        """Puts a request at the end."""
        self._requests[request] = None
        self.rows += request.size

    def take(self, room: int) -> list[Part]:
        """The next rows, at most `room`: large requests are split, small ones packed together.

        Requests that were cancelled or have expired are skipped.
        """
        parts = []
        while room and self._requests:
            request = next(iter(self._requests))
            if request.future.done():  # cancelled or expired, and its loop has not come round to `leave` yet
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
