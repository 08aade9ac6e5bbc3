"""The engine's queue of rows: waiting requests, taken out as batches, half by age and half by size."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    OnBatch: TypeAlias = Callable[[float, float], None]

Rows: TypeAlias = "np.ndarray[Any, Any]"
"""An array whose first axis counts rows."""
LANES: Final = 13
"""Sizes are told apart by their number of binary digits: 1 row, 2 and 3, 4 to 7, …, and at last 4,096 and more."""


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
    """Waiting requests by age and by size; a request may leave from the middle. Not thread-safe: one thread at a time.

    Half of each batch belongs to the oldest requests, and half to the shortest. So a picture does not wait for all rows
    of a long request, and no request waits for more than twice as many batches as first in, first out. Of requests of
    about the same size the oldest is first: if they took turns, all would be finished as late as the last one.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._by_age: OrderedDict[Request, None] = OrderedDict()  # ordered, and removal is O(1)
        self._by_size: tuple[OrderedDict[Request, None], ...] = tuple(OrderedDict() for _ in range(LANES))

    def append(self, request: Request) -> None:
        """Puts a request behind all others, and behind those of its size."""
        self._by_age[request] = self._by_size[_lane(request.size)][request] = None
        self.rows += request.size

    def rows_before(self, size: int) -> int:
        """Rows of the waiting requests that are at most about as long as a new request of `size` rows."""
        lanes = self._by_size[: _lane(size) + 1]
        return sum(request.size - request.taken for lane in lanes for request in lane)

    def take(self, room: int) -> list[Part]:
        """The next batch of at most `room` rows: large requests are split, small ones packed together.

        Cancelled and expired requests are skipped.
        """
        parts: dict[Request, Part] = {}
        self._move((self._by_age,), room - room // 2, parts)
        self._move(self._by_size, room // 2, parts)
        return [*parts.values()]

    def leave(self, request: Request) -> None:
        """Takes a request's remaining rows out of the queue."""
        if request in self._by_age:
            self._remove(request)
            self.rows -= request.size - request.taken

    def clear(self) -> list[Request]:
        """Takes all requests out of the queue."""
        requests = list(self._by_age)
        for request in requests:
            self.leave(request)
        return requests

    def _move(self, lanes: Iterable[OrderedDict[Request, None]], room: int, parts: dict[Request, Part]) -> None:
        """Moves at most `room` rows to the parts of a batch, from the front of the first lane that is not empty."""
        for lane in lanes:
            while room and lane:
                request = next(iter(lane))
                if request.future.done():  # cancelled or expired, and `leave` not called yet
                    self.leave(request)
                    continue
                start, stop = request.taken, min(request.size, request.taken + room)
                parts[request] = Part(request, parts[request].start if request in parts else start, stop)
                room -= stop - start
                self.rows -= stop - start
                request.taken = stop
                if stop == request.size:
                    self._remove(request)

    def _remove(self, request: Request) -> None:
        del self._by_age[request], self._by_size[_lane(request.size)][request]


def _lane(size: int) -> int:
    return min(size.bit_length(), LANES) - 1
