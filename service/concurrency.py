"""A few threads for work that may take long or never end, and a limit to how much of it waits."""

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
    """Unlike Python's own, it holds nobody up: work that stands still does not delay the end of the process.

    After `close`, the last thread that ends calls `on_end`.
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
        """Whether nothing more may wait."""
        return self._waiting.full()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """What will come of the work. Raises queue.Full."""
        future: Future[Result] = Future()
        self._waiting.put_nowait((future, work))
        return future

    def close(self) -> None:
        """Cancels what waits, and ends the threads when they have finished what they are at, without waiting."""
        with suppress(Empty):
            while waiting := self._waiting.get_nowait():
                waiting[0].cancel()
        self._waiting.put_nowait(None)

    def _run(self) -> None:
        while waiting := self._waiting.get():
            future, work = waiting
            if future.set_running_or_notify_cancel():
                try:
                    result = work()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        self._waiting.put_nowait(None)  # for the next thread
        with self._ending:
            self._running -= 1
            if not self._running:
                self._on_end()
