"""The engine: rows in, rows out. Requests wait in one queue, and one thread computes them batch by batch.

Batches are formed by rows and without a timer. An idle engine starts at once; what arrives while it computes forms the
next batch. Large requests are split across batches and small ones packed together, in order of arrival, so nobody
starves. Nothing in here knows what a row is, where requests come from, or what computes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Rows: TypeAlias = "np.ndarray[Any, Any]"
"""An array whose first axis counts rows."""

log = logging.getLogger(__name__)


class QueueFull(Exception):
    """The queue has no room for a request: `waiting` rows are in it, and `limit` is the most that may wait."""

    def __init__(self, *, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} rows are waiting, and the limit is {limit}")
        self.waiting, self.limit = waiting, limit


class Closed(Exception):
    """The engine takes no more requests, or was told not to wait for this one any longer."""

    def __init__(self) -> None:
        super().__init__("the engine is closed")


class EngineDead(Exception):
    """The engine's thread has ended although nobody closed it; nothing will be computed any more."""

    def __init__(self) -> None:
        super().__init__("the engine's thread has died")


class PredictFailed(Exception):
    """`predict` raised for this request, and for this one alone. The reason is the `__cause__`."""


class _Request:
    """A caller who waits: `taken` rows have gone into batches, `missing` rows are not computed yet."""

    __slots__ = ("answer", "error", "future", "loop", "missing", "rows", "size", "taken")

    def __init__(self, rows: Rows, loop: asyncio.AbstractEventLoop) -> None:
        self.rows, self.loop = rows, loop
        self.size = self.missing = len(rows)
        self.taken = 0
        self.future: asyncio.Future[Rows] = loop.create_future()
        self.answer: Rows | None = None
        self.error: Exception | None = None


class _Part(NamedTuple):
    """Rows start…stop of one request, the share of it that goes into one batch."""

    request: _Request
    start: int
    stop: int


class Batcher:
    """Computes rows for many callers at once, on one thread of its own.

    `predict` takes rows [n, …], 1 <= n <= max_batch_rows, and returns a new array of n rows, of one dtype and width at
    every call; it is called on the engine's thread alone. At most `queue_limit_rows` rows wait.
    """

    def __init__(
        self, predict: Callable[[Rows], Rows], *, max_batch_rows: int, queue_limit_rows: int, name: str = "batcher"
    ) -> None:
        self.max_batch_rows, self.queue_limit_rows = max_batch_rows, queue_limit_rows
        self._predict = predict
        self._changed = threading.Condition(threading.Lock())  # guards all that follows
        self._queue: OrderedDict[_Request, None] = OrderedDict()  # leaving from the middle costs no search
        self._waiting_rows = 0
        self._idle = False
        self._closing = self._dead = False
        self._batch: list[_Part] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether there is a thread that computes; after `close` there is none."""
        return self._thread.is_alive() and not self._dead

    @property
    def waiting_rows(self) -> int:
        """How many rows wait, without those that are being computed."""
        return self._waiting_rows

    async def submit(self, rows: Rows) -> Rows:
        """Answers [n, …] for rows [n, …], n >= 1. The rows are not copied: leave them alone until the answer is there.

        Raises QueueFull, Closed, EngineDead, PredictFailed. Cancelling the caller takes its rows out of the queue.
        """
        if not len(rows):
            raise ValueError("a request has 0 rows, want at least 1")
        request = _Request(rows, asyncio.get_running_loop())
        with self._changed:
            if self._closing:
                raise Closed
            if not self.alive:
                raise EngineDead
            if self._waiting_rows + request.size > self.queue_limit_rows:
                raise QueueFull(waiting=self._waiting_rows, limit=self.queue_limit_rows)
            self._queue[request] = None
            self._waiting_rows += request.size
            if self._idle:
                self._changed.notify()
        try:
            return await request.future
        except asyncio.CancelledError:
            with self._changed:
                self._leave(request)
            raise

    async def close(self, timeout_s: float | None = None) -> None:
        """Refuses new requests, returns when the accepted ones are answered; after the timeout, these get Closed."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            self._abandon(Closed)

    # What follows, but for _leave and _abandon, happens on the engine's thread.

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._deliver(self._compute(batch))
        except BaseException:
            log.critical("the engine's thread has died", exc_info=True)
            self._abandon(EngineDead)  # a caller whose answer can't come any more must not wait for it

    def _next_batch(self) -> list[_Part]:
        """The batch to compute next; waits until there is one. An empty one says that all is done."""
        with self._changed:
            while True:
                self._batch = self._take()
                if self._batch or self._closing:
                    return self._batch
                self._idle = True
                self._changed.wait()
                self._idle = False

    def _take(self) -> list[_Part]:
        batch, room = [], self.max_batch_rows
        while room and self._queue:
            request = next(iter(self._queue))
            if request.future.cancelled():  # its task has not come round to _leave yet
                self._leave(request)
                continue
            part = _Part(request, request.taken, min(request.size, request.taken + room))
            batch.append(part)
            rows = part.stop - part.start
            room -= rows
            self._waiting_rows -= rows
            request.taken = part.stop
            if request.taken == request.size:
                del self._queue[request]
        return batch

    def _leave(self, request: _Request) -> None:
        """Takes what is left of a request out of the queue."""
        if request in self._queue:
            del self._queue[request]
            self._waiting_rows -= request.size - request.taken

    def _compute(self, batch: list[_Part]) -> list[_Request]:
        """Requests that are finished, well or badly, after this batch."""
        try:
            answers = self._answers([part.request.rows[part.start : part.stop] for part in batch])
        except Exception as error:  # whatever predict raises
            if len(batch) > 1:  # each gets a second chance alone, so that only the culprit fails
                return [done for part in batch for done in self._compute([part])]
            return [self._fail(batch[0].request, error)]
        offset = 0
        for request, start, stop in batch:
            share = answers[offset : offset + stop - start]
            offset += stop - start
            if len(share) == request.size:
                request.answer = share
            else:
                if request.answer is None:
                    request.answer = np.empty((request.size, *answers.shape[1:]), answers.dtype)
                request.answer[start:stop] = share
            request.missing -= stop - start
        return [part.request for part in batch if not part.request.missing]

    def _answers(self, slices: list[Rows]) -> Rows:
        # Rows of another dtype would change their neighbours': they are refused here, and so computed alone.
        rows = slices[0] if len(slices) == 1 else np.concatenate(slices, dtype=slices[0].dtype, casting="no")
        answers = self._predict(rows)
        if len(answers) != len(rows):
            raise RuntimeError(f"predict returned {len(answers)} rows for {len(rows)}")
        return answers

    def _fail(self, request: _Request, cause: Exception) -> _Request:
        request.error = PredictFailed(f"predict failed on a request of {request.size} rows: {cause!r}")
        request.error.__cause__ = cause
        with self._changed:
            self._leave(request)
        return request

    def _deliver(self, finished: Iterable[_Request]) -> None:
        """Wakes the callers, with one call for each event loop and not for each request."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Request]] = {}
        for request in finished:
            by_loop.setdefault(request.loop, []).append(request)
        for loop, requests in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its callers are gone with it
                loop.call_soon_threadsafe(_resolve, requests)

    def _abandon(self, error: type[Closed | EngineDead]) -> None:
        """Fails every request that has no answer yet."""
        with self._changed:
            requests = {part.request for part in self._batch} | set(self._queue)
            self._dead = error is EngineDead
            self._queue.clear()
            self._waiting_rows = 0
        for request in requests:
            request.error = request.error or error()
        self._deliver(requests)


def _resolve(requests: list[_Request]) -> None:
    for request in requests:
        if request.future.done():  # cancelled, or abandoned before
            continue
        if request.error:
            request.future.set_exception(request.error)
        elif request.answer is not None:
            request.future.set_result(request.answer)
