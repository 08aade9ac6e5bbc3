"""The thread on which the store is read: a store that hangs, as NFS does, delays neither requests nor the process."""

from __future__ import annotations

import asyncio
from queue import Full
from typing import TYPE_CHECKING, Any, TypeVar

from service.concurrency import ThreadPool
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

Result = TypeVar("Result")


class StoreTimeout(DigitsError):
    """The store has not answered in time."""


class StoreThread:
    """Runs blocking calls one at a time, each for at most `timeout_s`.

    A call that takes longer is abandoned: it goes on, for nobody can end it, and until it ends further calls fail at
    once. The thread is a daemon, so that the process can end meanwhile.
    Not thread-safe: one event loop at a time.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._pool: ThreadPool | None = None
        self._abandoned: Future[Any] | None = None

    async def call(self, work: Callable[[], Result], discard: Callable[[Result], None] | None = None) -> Result:
        """The result of `work()`. Raises its exception, and StoreTimeout.

        `discard` is called on the event loop with the result of a call that was abandoned.
        """
        if self._abandoned and not self._abandoned.done():
            raise self.timeout()
        if self._pool is None:
            self._pool = ThreadPool(1, 1, "store")
        try:
            future = self._pool.submit(work)
        except Full:  # of two calls at the same time
            raise self.timeout() from None
        result = asyncio.wrap_future(future)
        try:
            await asyncio.wait([result], timeout=self.timeout_s)
            if not result.done():
                raise self.timeout()
            return result.result()
        finally:
            if not result.done():
                self._abandoned = future
                result.add_done_callback(lambda late: _end(late, discard))

    def timeout(self) -> StoreTimeout:
        """The error for a store that has not answered."""
        return StoreTimeout(f"the store has not answered in {self.timeout_s:g} s")

    def close(self) -> None:
        """Ends the thread after its current call, without waiting for it."""
        if self._pool:
            self._pool.close()
            self._pool = None


def _end(late: asyncio.Future[Result], discard: Callable[[Result], None] | None) -> None:
    if not late.cancelled() and not late.exception() and discard:
        discard(late.result())
