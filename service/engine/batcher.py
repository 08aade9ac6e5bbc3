"""The engine: dynamic batching. Requests wait in one queue, and threads compute their rows batch by batch.

Batches are formed by rows and without a timer. An idle engine starts at once; the rows that arrive while it computes
form the next batch. Large requests are split across batches and small ones packed together. Half of each batch belongs
to the oldest requests, so no request starves, and half to the shortest, so a picture does not wait for thousands. The
engine is independent of the meaning of a row, of the source of requests, and of the model.

While one thread computes, a second thread starts only with a full batch: a few more rows are cheaper in the next batch
than in a batch of their own. The threads and the event loop share Python's interpreter lock (GIL), and every thread
waits for the GIL after releasing it. Therefore the work for a batch is done once per batch, in calls that keep the
GIL; and batches of at most `inline_rows` rows, faster to compute than a thread is to wake up, are computed inline, on
the event loop, also while the threads compute longer requests.
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

from service.engine.errors import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.engine.row_queue import Request, RowQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from service.engine.row_queue import OnBatch, Part, Rows

SMOOTHING = 0.9
"""Weight of the old value in the moving average of seconds for each row of full batches."""

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """One call of `predict`: number of rows, and seconds that the call took."""

    rows: int
    seconds: float
    waited_s: list[float]
    """Seconds in the queue of each request whose first rows were in the batch."""


class BatchObserver(Protocol):
    """Called with every batch, on the thread that computed it."""

    def __call__(self, batch: Batch, /) -> None: ...


def _no_observer(_: Batch) -> None:
    """No-op."""


class Batcher:
    """Computes rows for many callers at once, on `threads` threads of its own. Thread-safe.

    `predict` takes rows [n, …], 1 <= n <= max_batch_rows, and returns a new array of n rows, of one dtype and width at
    every call. Up to `threads` threads call `predict` at the same time, and the event loop: at most `inline_rows` rows
    are computed inline, if the engine is idle or busy with longer requests. At most `queue_limit_rows` rows wait.
    """

    def __init__(
        self,
        predict: Callable[[Rows], Rows],
        *,
        max_batch_rows: int,
        queue_limit_rows: int,
        threads: int = 1,
        inline_rows: int = 0,
        observer: BatchObserver = _no_observer,
        name: str = "batcher",
    ) -> None:
        self.max_batch_rows, self.queue_limit_rows = max_batch_rows, queue_limit_rows
        self._inline_rows = inline_rows
        self._predict, self._observer = predict, observer
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.RLock()  # guards all attributes below
        self._queue = RowQueue()
        self._idle_threads = 0  # threads that wait in `_wake`
        self._starting = False  # an event loop is about to compute inline
        self._batches: list[list[Part]] = []  # in computation
        self._closing = self._dead = False
        self._row_s = 0.0  # seconds that a row takes in full batches; 0 before the first one
        self._busy_since_s = 0.0  # the end of the last batch; 0 if the engine was idle then
        self._last_rows = 0
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine's threads run; False after `close`."""
        return not self._dead and self._threads[0].is_alive()

    @property
    def waiting_rows(self) -> int:
        """Number of rows in the queue, without the rows in computation."""
        return self._queue.rows

    def check_room(self, rows: int = 1, deadline_s: float | None = None) -> None:
        """Backpressure: raises the error of `submit` for this number of rows, to be called before the body is read.

        Raises QueueFull, Closed, EngineDead.
        """
        if self._closing:
            raise Closed
        if self._dead:
            raise EngineDead
        waiting = self._queue.rows
        if waiting + rows > self.queue_limit_rows:
            raise QueueFull(waiting=waiting, limit=self.queue_limit_rows, retry_after_s=self._seconds_for(waiting))
        if deadline_s is not None and waiting and self._row_s:
            self._check_time(rows, deadline_s)

    def _check_time(self, rows: int, deadline_s: float) -> None:
        """Raises QueueFull for rows that might not be computed before their deadline because of the rows before them.

        Under overload most rows would expire in the queue, many of them after a part of their request was computed.
        """
        rows_in_time = (deadline_s - time.monotonic()) / self._row_s
        limit = max(0, int(rows_in_time - rows) // 2)  # shorter requests that come later may take half of each batch
        if self._queue.rows <= limit:
            return
        with self._lock:
            before = self._queue.rows_before(rows)
        if before > limit:
            seconds = self._seconds_for(before)
            raise QueueFull(waiting=before, limit=limit, retry_after_s=seconds, for_deadline=True)

    def _seconds_for(self, rows: int) -> int:
        return max(1, math.ceil(rows * self._row_s))

    async def submit(self, rows: Rows, deadline_s: float | None = None, on_batch: OnBatch | None = None) -> Rows:
        """Answers [n, …] for rows [n, …], n >= 1. The rows are not copied: the caller must not change them meanwhile.

        `deadline_s` is in `time.monotonic()` seconds; None means no deadline. `on_batch` is called with the begin and
        end of each batch with rows of the request, in `time.perf_counter()` seconds, on the thread that computed the
        batch. The rows of a cancelled or expired request leave the queue unless they are in a batch already.
        Raises QueueFull, Closed, EngineDead, PredictFailed, DeadlineExceeded, and ValueError for no rows.
        """
        if not len(rows):
            raise ValueError("a request has 0 rows, want at least 1")
        left_s = None if deadline_s is None else deadline_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded
        loop = asyncio.get_running_loop()
        request = Request(rows, loop, on_batch)
        with self._lock:
            self.check_room(request.size, deadline_s)
            self._queue.append(request)
            first = bool(self._inline_rows) and not self._starting and self._idle_threads == len(self._threads)
            self._starting = self._starting or first
            if not first:
                self._wake_up()
        if first:
            try:
                await asyncio.sleep(0)  # lets other tasks submit in this iteration of the loop, for one common batch
            except asyncio.CancelledError:
                self._leave(request)
                self._pass_on([])
                raise
            self._start(loop)
            if request.future.done():
                return request.future.result()
        timer = None if left_s is None else loop.call_later(left_s, self._expire, request)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._leave(request)
            raise
        finally:
            if timer:
                timer.cancel()

    def compute_now(
        self, rows: Rows, deadline_s: float | None = None, on_batch: OnBatch | None = None, *, alone: bool = True
    ) -> Rows | None:
        """As `submit`, but without the queue: computed inline at once, or None if that is not possible.

        At most `inline_rows` rows are computed so by an idle engine, for a caller that knows of no other one (`alone`),
        and by an engine that is busy with longer requests only: they are overtaken.
        """
        if len(rows) > self._inline_rows:
            return None
        if deadline_s is not None and deadline_s <= time.monotonic():
            raise DeadlineExceeded
        with self._lock:
            overtakes = bool(self._batches) and self._is_busy_with_long()
            if not overtakes:
                if not alone or self._starting or self._queue.rows or not self._is_idle():
                    return None
                self._starting = True
        try:
            return self._measured(rows, [time.perf_counter()], [on_batch])
        except Exception as error:
            raise _failed(len(rows), error) from error
        except BaseException as error:
            self._die()
            raise EngineDead from error
        finally:
            if not overtakes:
                self._pass_on([])

    async def close(self, timeout_s: float | None = None) -> None:
        """Drains: refuses new requests and waits for the accepted ones, which get Closed after `timeout_s`."""
        with self._lock:
            self._closing = True
            self._wake_up()
        await asyncio.to_thread(self._join, timeout_s)
        if any(thread.is_alive() for thread in self._threads):
            self._abandon(Closed)

    def _join(self, timeout_s: float | None) -> None:
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if end_s is None else max(0.0, end_s - time.monotonic()))

    def _leave(self, request: Request) -> None:
        with self._lock:
            self._queue.leave(request)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Computes the rows that came to an idle engine inline if they are few, or else wakes a thread.

        The previous batch must have been as small: under load a thread is better, since the requests that arrive while
        the thread wakes up join its batch.
        """
        with self._lock:
            inline = max(self._queue.rows, self._last_rows) <= self._inline_rows and not self._closing
            batch = self._take() if inline else []
        try:
            if batch:
                self._deliver(self._compute(batch), current_loop=loop)
        except BaseException:
            self._die()
        self._pass_on(batch)

    def _pass_on(self, before: list[Part]) -> None:
        """Ends the inline turn: hands the queue to the threads, and permits the next inline batch."""
        with self._lock:
            if before:
                self._batches.remove(before)
            self._starting = False
            self._wake_up()

    def _is_idle(self) -> bool:
        """Whether all threads wait for work and may get some. The caller holds the lock."""
        return self._idle_threads == len(self._threads) and not self._closing and not self._dead

    def _is_busy_with_long(self) -> bool:
        """Whether all other requests have more than `inline_rows` rows. The caller holds the lock."""
        if self._starting or self._closing or self._dead:
            return False
        sizes = (part.request.size for batch in self._batches for part in batch)
        return min(sizes) > self._inline_rows and not self._queue.rows_before(self._inline_rows)

    def _wake_up(self) -> None:
        """Wakes an idle thread if a batch is due or the engine stops. The caller holds the lock."""
        if self._idle_threads and not self._starting and (self._closing or self._dead or self._batch_due()):
            self._idle_threads -= 1
            self._wake.put(None)

    def _batch_due(self) -> bool:
        """Whether another batch should be computed now. The caller holds the lock."""
        return bool(self._queue.rows) and (not self._batches or self._queue.rows >= self.max_batch_rows)

    def _take(self) -> list[Part]:
        """The next batch; empty if all waiting requests were cancelled. The caller holds the lock."""
        batch = self._queue.take(self.max_batch_rows)
        if batch:
            self._batches.append(batch)
        return batch

    def _expire(self, request: Request) -> None:
        if not request.future.done():
            self._leave(request)
            request.future.set_exception(DeadlineExceeded())

    # The methods below run on the engine's threads, and for inline batches on the event loop.

    def _run(self) -> None:
        batch: list[Part] = []
        try:
            while batch := self._next_batch(batch):
                self._deliver(self._compute(batch))
        except BaseException:
            self._die()

    def _next_batch(self, before: list[Part]) -> list[Part]:
        """The batch to compute next; waits until there is one. An empty batch ends the thread."""
        with self._lock:
            if before:
                self._batches.remove(before)
        while True:
            with self._lock:
                batch = self._take() if self._batch_due() and not self._starting else []
                done = self._dead or (self._closing and not self._queue.rows)
                if not batch and not done:
                    self._idle_threads += 1
                else:
                    self._wake_up()  # there may be rows for another thread, or the engine is closing
            if batch or done:
                return batch
            self._wake.get()

    def _compute(self, batch: list[Part]) -> list[Request]:
        """The requests that have an answer or an error after this batch."""
        try:
            answers = self._answers(batch)
        except Exception as error:  # `predict` may raise any exception
            if len(batch) > 1:  # each request is computed again alone, so that only the faulty one fails
                return [done for part in batch for done in self._compute([part])]
            return [self._fail(batch[0].request, error)]
        offset, finished = 0, []
        with self._lock:  # other threads may have other rows of the same request
            for request, start, stop in batch:
                request.fill(start, stop, answers[offset : offset + stop - start])
                offset += stop - start
                if not request.missing:
                    finished.append(request)
        return finished

    def _answers(self, batch: list[Part]) -> Rows:
        slices = [part.request.rows[part.start : part.stop] for part in batch]
        rows = slices[0] if len(slices) == 1 else _packed(slices)
        arrived_s = [part.request.arrived_s for part in batch if not part.start]
        return self._measured(rows, arrived_s, [part.request.on_batch for part in batch])

    def _measured(self, rows: Rows, arrived_s: list[float], on_batch: list[OnBatch | None]) -> Rows:
        """Calls `predict` on a batch, and tells how long it took; `arrived_s` are of the requests that begin in it."""
        size, began = len(rows), time.perf_counter()
        answers = self._predict(rows)
        seconds = time.perf_counter() - began
        if len(answers) != size:
            raise RuntimeError(f"predict returned {len(answers)} rows for {size}")
        with self._lock:
            for call in on_batch:
                if call:
                    call(began, began + seconds)
            self._last_rows = size
            if size == self.max_batch_rows:  # all threads together, and with what is done between batches
                self._update_row_s((began + seconds - (self._busy_since_s or began)) / size)
            elif seconds < size * self._row_s:  # rows of full batches take no longer than those of others
                self._update_row_s(seconds / size)
            self._busy_since_s = began + seconds if self._queue.rows or len(self._batches) > 1 else 0.0
        self._observer(Batch(size, seconds, [began - since for since in arrived_s]))
        return answers

    def _update_row_s(self, row_s: float) -> None:
        """Updates the moving average. The caller holds the lock."""
        self._row_s = SMOOTHING * self._row_s + (1 - SMOOTHING) * row_s if self._row_s else row_s

    def _fail(self, request: Request, cause: Exception) -> Request:
        request.error = _failed(request.size, cause)
        self._leave(request)
        return request

    def _deliver(self, finished: Iterable[Request], current_loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Wakes the callers with one call for each event loop, not for each request; for `current_loop` directly."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Request]] = {}
        for request in finished:
            by_loop.setdefault(request.loop, []).append(request)
        for loop, requests in by_loop.items():
            if loop is current_loop:
                _resolve(requests)
                continue
            with contextlib.suppress(RuntimeError):  # the event loop of the callers is closed
                loop.call_soon_threadsafe(_resolve, requests)

    def _die(self) -> None:
        """Fails all requests with EngineDead, after an exception outside `predict`."""
        log.critical("the engine has died", exc_info=True)
        self._abandon(EngineDead)

    def _abandon(self, error: type[Closed | EngineDead]) -> None:
        """Fails every request without an answer."""
        with self._lock:
            requests = {part.request for batch in self._batches for part in batch} | set(self._queue.clear())
            self._dead = error is EngineDead
            self._wake_up()
        for request in requests:
            request.error = request.error or error()
        self._deliver(requests)


def _failed(rows: int, cause: Exception) -> PredictFailed:
    error = PredictFailed(f"predict failed on a request of {rows} rows: {cause!r}")
    error.__cause__ = cause
    return error


def _packed(slices: list[Rows]) -> Rows:
    """Concatenates the rows of several requests. Raises ValueError unless all have the same dtype and row shape.

    `np.concatenate` would release the GIL for every slice, and wait for a busy event loop as often.
    """
    first = slices[0]
    if any(rows.dtype != first.dtype or rows.shape[1:] != first.shape[1:] for rows in slices):
        raise ValueError(
            "rows of other shapes or dtypes would change their neighbours'"
        )  # each request is computed alone then
    return np.frombuffer(b"".join([rows.data for rows in slices]), first.dtype).reshape(-1, *first.shape[1:])


def _resolve(requests: list[Request]) -> None:
    for request in requests:
        if request.future.done():  # cancelled, expired, or abandoned
            continue
        if request.error:
            request.future.set_exception(request.error)
        elif request.answer is not None:
            request.future.set_result(request.answer)
