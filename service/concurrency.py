"""A thread pool with a bounded queue, for work that may take long or never end."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class ThreadPool:
    """Threads that run submitted work, first come, first served. Thread-safe.

    Unlike concurrent.futures.ThreadPoolExecutor it never delays the end of the process: its threads are daemons.
    At most `limit_waiting` pieces of work wait. After `close`, the last thread that ends calls `on_end`.
    """

    def __init__(self, threads: int, limit_waiting: int, name: str, on_end: Callable[[], None] = lambda: None) -> None:
        self._waiting: Queue[tuple[Future[Any], Callable[[], Any]] | None] = Queue(limit_waiting)
        self._on_end = on_end
        self._running = threads
        self._ending = threading.Lock()
        for _ in range(threads):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether the queue is full."""
        return self._waiting.full()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """The future of a piece of work. Raises queue.Full (backpressure)."""
        future: Future[Result] = Future()
        self._waiting.put_nowait((future, work))
        return future

    def close(self) -> None:
        """Cancels the work that waits, and ends the threads after their current work. Does not wait for them."""
        with suppress(Empty):
            while waiting := self._waiting.get_nowait():
                waiting[0].cancel()
        self._waiting.put_nowait(None)

    def _run(self) -> None:
        while waiting := self._waiting.get():
            _complete(*waiting)
            del waiting  # while the thread waits, nothing of the last work stays in memory
        self._waiting.put_nowait(None)  # ends the next thread
        with self._ending:
            self._running -= 1
            if not self._running:
                self._on_end()


def _complete(future: Future[Any], work: Callable[[], Any]) -> None:
    """Runs a piece of work, and sets the result or the error of its future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
        del future  # or the error -> its traceback -> this frame -> the future -> the error would be a cycle
    else:
        future.set_result(result)


def release_frames(error: BaseException) -> None:
    """Drops the tracebacks of an error and of all that are chained to it.

    A traceback keeps the local variables of its frames, such as the pixels of a picture; together with a future in one
    of the frames, it is a cycle that only the garbage collector frees.
    """
    chained: list[BaseException | None] = [error]
    while chained:
        one = chained.pop()
        if one is not None:
            chained += [one.__cause__, one.__context__]
            one.__traceback__ = one.__cause__ = one.__context__ = None
