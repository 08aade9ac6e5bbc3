"""The engine: rows in, rows out. Requests wait in one queue, and one thread computes them batch by batch.

Batches are formed by rows and without a timer. An idle engine starts at once; what arrives while it computes forms the
next batch. Large requests are split across batches and small ones packed together, in order of arrival, so nobody
starves. Nothing in here knows what a row is, where requests come from, or what computes them.

The thread and the event loop share Python's interpreter, and each of them waits for the other to let go of it. So what
is done for a batch is done once, in calls that do not let go on the way; and rows so few that they are computed before
another thread would have woken up need no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from service.row_queue import Request, RowQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from service.row_queue import Part, Rows, Timed

SMOOTHING = 0.9
"""How much of the measured rate stays with every new batch."""

log = logging.getLogger(__name__)


class QueueFull(Exception):
    """The queue has no room for a request: `waiting` rows are in it, and `limit` is the most that may wait.

    At the rate of the last batches the queue is empty after `retry_after_s`.
    """

    def __init__(self, *, waiting: int, limit: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting} rows are waiting, and the limit is {limit}")
        self.waiting, self.limit, self.retry_after_s = waiting, limit, retry_after_s


class Closed(Exception):
    """The engine takes no more requests, or was told not to wait for this one any longer."""

    def __init__(self) -> None:
        super().__init__("the engine is closed")


class EngineDead(Exception):
    """The engine's thread has ended although nobody closed it; nothing will be computed any more."""

    def __init__(self) -> None:
        super().__init__("the engine's thread has died")


class DeadlineExceeded(Exception):
    """The caller's time was up before all its rows were computed."""


class PredictFailed(Exception):
    """`predict` raised for this request, and for this one alone. The reason is the `__cause__`."""


class Batch(NamedTuple):
    """What became of one call of `predict`."""

    rows: int
    seconds: float
    waited_s: list[float]
    """How long each request waited whose first rows were in it."""


class Watch(Protocol):
    """Told of every batch, on the engine's thread."""

    def __call__(self, batch: Batch, /) -> None: ...


def _unwatched(_: Batch) -> None:
    """Looks away."""


class Batcher:
    """Computes rows for many callers at once, on one thread of its own.

    `predict` takes rows [n, …], 1 <= n <= max_batch_rows, and returns a new array of n rows, of one dtype and width at
    every call. It is called by one thread at a time: the engine's, or with at most `inline_rows` rows that come to an
    idle engine, the event loop's. At most `queue_limit_rows` rows wait.
    """

    def __init__(
        self,
        predict: Callable[[Rows], Rows],
        *,
        max_batch_rows: int,
        queue_limit_rows: int,
        inline_rows: int = 0,
        watch: Watch = _unwatched,
        name: str = "batcher",
    ) -> None:
        self.max_batch_rows, self.queue_limit_rows = max_batch_rows, queue_limit_rows
        self._inline_rows = inline_rows
        self._predict, self._watch = predict, watch
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()  # guards all that follows
        self._queue = RowQueue()
        self._idle = False
        self._closing = self._dead = False
        self._batch: list[Part] = []
        self._rows_per_s = 0.0
        self._last_rows = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether there is a thread that computes; after `close` there is none."""
        return self._thread.is_alive() and not self._dead

    @property
    def waiting_rows(self) -> int:
        """How many rows wait, without those that are being computed."""
        return self._queue.rows

    def check_room(self, rows: int = 1) -> None:
        """Raises what `submit` would raise for so many rows, before anybody takes the trouble to make them.

        Raises QueueFull, Closed, EngineDead.
        """
        if self._closing:
            raise Closed
        if not self.alive:
            raise EngineDead
        waiting = self._queue.rows
        if waiting + rows > self.queue_limit_rows:
            seconds = waiting / self._rows_per_s if self._rows_per_s else 1.0
            raise QueueFull(waiting=waiting, limit=self.queue_limit_rows, retry_after_s=max(1, math.ceil(seconds)))

    async def submit(self, rows: Rows, deadline_s: float | None = None, timed: Timed | None = None) -> Rows:
        """Answers [n, …] for rows [n, …], n >= 1. The rows are not copied: leave them alone until the answer is there.

        Raises QueueFull, Closed, EngineDead, PredictFailed, and DeadlineExceeded when `time.monotonic()` passes the
        deadline, if there is one. Whoever is cancelled or runs out of time takes along the rows that are in no batch.
        `timed` is told when each batch with some of the rows began and ended, as `time.perf_counter` counts, on the
        thread that computed it.
        """
        if not len(rows):
            raise ValueError("a request has 0 rows, want at least 1")
        left_s = None if deadline_s is None else deadline_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded
        loop = asyncio.get_running_loop()
        request = Request(rows, loop, timed)
        with self._lock:
            self.check_room(request.size)
            self._queue.append(request)
            first, self._idle = self._idle, False
        if first and self._inline_rows:
            try:
                await asyncio.sleep(0)  # who came in the same moment is in the queue after that
            except asyncio.CancelledError:
                self._leave(request)
                self._wake.put(None)  # for them
                raise
            self._start(loop)
            if request.future.done():
                return request.future.result()
        elif first:
            self._wake.put(None)
        timer = None if left_s is None else loop.call_later(left_s, self._expire, request)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._leave(request)
            raise
        finally:
            if timer:
                timer.cancel()

    async def close(self, timeout_s: float | None = None) -> None:
        """Refuses new requests, returns when the accepted ones are answered; after the timeout, these get Closed."""
        with self._lock:
            self._closing = True
            self._wake.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            self._abandon(Closed)

    def _leave(self, request: Request) -> None:
        with self._lock:
            self._queue.leave(request)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Computes the few rows that came to an idle engine, or wakes the thread for more than that.

        The batch before must have been as small: where many callers come one after the other, the thread makes one
        batch of those who come while it wakes up.
        """
        with self._lock:
            if max(self._queue.rows, self._last_rows) > self._inline_rows or self._closing:
                self._wake.put(None)
                return
            self._batch = self._queue.take(self._inline_rows)
        try:
            if self._batch:
                self._deliver(self._compute(self._batch), here=loop)
        except BaseException:
            self._die()
            return
        with self._lock:
            self._batch = []
            self._idle = not (self._queue.rows or self._closing)
            if not self._idle:
                self._wake.put(None)

    def _expire(self, request: Request) -> None:
        if not request.future.done():
            self._leave(request)
            request.future.set_exception(DeadlineExceeded())

    # What follows happens on the engine's thread, or is what both threads do.

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._deliver(self._compute(batch))
        except BaseException:
            self._die()

    def _next_batch(self) -> list[Part]:
        """The batch to compute next; waits until there is one. An empty one says that all is done."""
        while True:
            with self._lock:
                self._batch = self._queue.take(self.max_batch_rows)
                if self._batch or self._closing:
                    return self._batch
                self._idle = True
            self._wake.get()

    def _compute(self, batch: list[Part]) -> list[Request]:
        """Requests that are finished, well or badly, after this batch."""
        try:
            answers = self._answers(batch)
        except Exception as error:  # whatever predict raises
            if len(batch) > 1:  # each gets a second chance alone, so that only the culprit fails
                return [done for part in batch for done in self._compute([part])]
            return [self._fail(batch[0].request, error)]
        offset = 0
        for request, start, stop in batch:
            request.fill(start, stop, answers[offset : offset + stop - start])
            offset += stop - start
        return [part.request for part in batch if not part.request.missing]

    def _answers(self, batch: list[Part]) -> Rows:
        slices = [part.request.rows[part.start : part.stop] for part in batch]
        rows = slices[0] if len(slices) == 1 else _packed(slices)
        began = time.perf_counter()
        answers = self._predict(rows)
        seconds = time.perf_counter() - began
        if len(answers) != len(rows):
            raise RuntimeError(f"predict returned {len(answers)} rows for {len(rows)}")
        for part in batch:
            if part.request.timed:
                part.request.timed(began, began + seconds)
        self._last_rows = len(rows)
        rate = len(rows) / max(seconds, 1e-9)
        self._rows_per_s = SMOOTHING * self._rows_per_s + (1 - SMOOTHING) * rate if self._rows_per_s else rate
        self._watch(Batch(len(rows), seconds, [began - part.request.arrived_s for part in batch if not part.start]))
        return answers

    def _fail(self, request: Request, cause: Exception) -> Request:
        request.error = PredictFailed(f"predict failed on a request of {request.size} rows: {cause!r}")
        request.error.__cause__ = cause
        self._leave(request)
        return request

    def _deliver(self, finished: Iterable[Request], here: asyncio.AbstractEventLoop | None = None) -> None:
        """Wakes the callers, with one call for each event loop and not for each request; `here` is this one."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Request]] = {}
        for request in finished:
            by_loop.setdefault(request.loop, []).append(request)
        for loop, requests in by_loop.items():
            if loop is here:
                _resolve(requests)
                continue
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its callers are gone with it
                loop.call_soon_threadsafe(_resolve, requests)

    def _die(self) -> None:
        """A caller whose answer can't come any more must not wait for it."""
        log.critical("the engine has died", exc_info=True)
        self._abandon(EngineDead)

    def _abandon(self, error: type[Closed | EngineDead]) -> None:
        """Fails every request that has no answer yet."""
        with self._lock:
            requests = {part.request for part in self._batch} | set(self._queue.clear())
            self._dead = error is EngineDead
        for request in requests:
            request.error = request.error or error()
        self._deliver(requests)


def _packed(slices: list[Rows]) -> Rows:
    """Rows of several requests, one after the other. Raises ValueError when they do not go together.

    `np.concatenate` lets go of the interpreter for every slice, and beside a busy event loop waits for it as often.
    """
    first = slices[0]
    if any(rows.dtype != first.dtype or rows.shape[1:] != first.shape[1:] for rows in slices):
        raise ValueError("rows of other shapes or dtypes would change their neighbours'")  # each is computed alone then
    return np.frombuffer(b"".join([rows.data for rows in slices]), first.dtype).reshape(-1, *first.shape[1:])


def _resolve(requests: list[Request]) -> None:
    for request in requests:
        if request.future.done():  # cancelled, expired, or abandoned before
            continue
        if request.error:
            request.future.set_exception(request.error)
        elif request.answer is not None:
            request.future.set_result(request.answer)
