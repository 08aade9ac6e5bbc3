"""Corrections on their way to the database, kept off the event loop: whatever becomes of them, predictions go on."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
from contextlib import suppress
from queue import Full
from typing import TYPE_CHECKING, Final, TypeVar

from service.concurrency import ThreadPool
from service.errors import FeedbackOff, FeedbackUnavailable, KeyReused
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.feedback.recent_predictions import Remembered
    from service.feedback.request import SentPicture
    from training.corrections import Added, Correction, Corrections

Result = TypeVar("Result")

THREADS: Final = 2
LIMIT_WAITING: Final = 64
TIMEOUT_S: Final = 5.0
PURGE_INTERVAL_S: Final = 3600.0

log = logging.getLogger(__name__)


class AsyncCorrections:
    """The corrections in the database at a URL; an empty one takes none. 0 days of retention are for ever.

    The database is opened when it is first needed, and again after it could not be reached.
    """

    def __init__(
        self, url: str, retention_days: int, *, limit_waiting: int = LIMIT_WAITING, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._url, self._retention = url, datetime.timedelta(days=retention_days)
        self._limit_waiting, self._timeout_s = limit_waiting, timeout_s
        self._pool: ThreadPool | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening = threading.Lock()
        self._corrections: Corrections | None = None
        self._prepared = False
        self._failure = ""

    def start(self) -> None:
        """Begins to take corrections, and to forget old ones, now and every hour; on the event loop."""
        if self._url:
            self._pool = ThreadPool(THREADS, self._limit_waiting, "feedback", self._close_database)
            if self._retention:
                self._purge()

    def close(self) -> None:
        """Takes no more; what is being written may or may not be kept."""
        if self._timer:
            self._timer.cancel()
        if self._pool:
            self._pool.close()

    def _close_database(self) -> None:
        """On the last thread to end: a connection that was in use before would be left open."""
        if self._corrections:
            self._corrections.close()

    def check_room(self) -> None:
        """Raises FeedbackOff, and FeedbackUnavailable when too many wait, before anybody takes the trouble."""
        if self._open_pool().full:
            raise _busy(self._limit_waiting)

    async def add(self, digit: int, of: SentPicture | Remembered, client_key: str | None) -> Added:
        """Keeps a correction. Raises KeyReused, FeedbackUnavailable, FeedbackOff."""
        content = of._asdict()
        return await self._ask(lambda corrections: corrections.add(digit=digit, client_key=client_key, **content))

    async def page(self, after: int, limit: int) -> list[Correction]:
        """At most `limit` corrections with ids greater than `after`. Raises FeedbackUnavailable, FeedbackOff."""
        return await self._ask(lambda corrections: corrections.page(after, limit))

    async def _ask(self, work: Callable[[Corrections], Result]) -> Result:
        try:
            future = self._open_pool().submit(lambda: self._do(work))
        except Full:
            raise _busy(self._limit_waiting) from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            message = f"the database of corrections has not answered in {self._timeout_s:g} s; try again later"
            raise FeedbackUnavailable("feedback_unavailable", message) from None

    def _open_pool(self) -> ThreadPool:
        if not self._pool:
            raise FeedbackOff(
                "feedback_off", "this service takes no corrections: DIGITS_FEEDBACK_URL names no database"
            )
        return self._pool

    def _do(self, work: Callable[[Corrections], Result], *, make: bool = True) -> Result:
        """On a thread of the pool; what went wrong is logged when it differs from the last time."""
        from training.corrections import KeyReused as OtherCorrection  # SQLAlchemy takes a while to import

        try:
            result = work(self._opened(make))
        except OtherCorrection as error:
            raise KeyReused("key_reused", str(error), field="Idempotency-Key") from None
        except DigitsError as error:
            self._prepared, news, self._failure = False, str(error) != self._failure, str(error)
            if news:
                log.warning("corrections: %s", error)
            message = "the database of corrections does not do it, the log of the service says why; try again later"
            raise FeedbackUnavailable("feedback_unavailable", message) from None
        self._failure = ""
        return result

    def _opened(self, make: bool) -> Corrections:
        from training.corrections import Corrections

        with self._opening:
            if self._corrections is None:
                self._corrections = Corrections(self._url)
            if not self._prepared and (make or self._corrections.exist):
                self._corrections.prepare()
                self._prepared = True
            return self._corrections

    def _purge(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PURGE_INTERVAL_S, self._purge)
        with suppress(Full):
            self._open_pool().submit(self._forget)

    def _forget(self) -> None:
        """Where nothing is prepared, there is nothing to forget, or somebody else is just making the file."""
        with suppress(FeedbackUnavailable):
            before = datetime.datetime.now(datetime.UTC) - self._retention
            self._do(lambda corrections: self._prepared and corrections.purge(before), make=False)


def _busy(limit: int) -> FeedbackUnavailable:
    message = f"{limit} requests wait for the database of corrections, and that is the limit; try again later"
    return FeedbackUnavailable("feedback_busy", message)
