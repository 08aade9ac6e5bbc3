"""Asynchronous access to the database of corrections, on threads: a slow or broken database delays no prediction."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
from contextlib import suppress
from queue import Full
from typing import TYPE_CHECKING, Final, TypeVar

from service.concurrency import ThreadPool
from service.errors import FeedbackOff, FeedbackUnavailable, KeyReused, UnknownCorrection
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.feedback.recent_predictions import RecentPrediction
    from service.feedback.request import SentPicture
    from training.corrections import Added, Correction, Corrections

Result = TypeVar("Result")

THREADS: Final = 2
LIMIT_WAITING: Final = 64
"""Maximum number of requests that wait for a thread."""
TIMEOUT_S: Final = 5.0
PURGE_INTERVAL_S: Final = 3600.0
OWN: Final = "the id of a correction, with the Idempotency-Key or the API key that it was sent with"

log = logging.getLogger(__name__)


class AsyncCorrections:
    """The corrections in the database at `url`; feedback is off if the URL is empty.

    Corrections are deleted after `retention_days`; 0 keeps them for ever. The database is opened by `start`, made at
    the first correction, and prepared again after a failure. `make_folder`: a folder of SQLite's file that is missing
    at the start is made; a folder that vanishes later never is: it may be a store that is not mounted.
    Not thread-safe: one event loop only.
    """

    def __init__(
        self,
        url: str,
        retention_days: int,
        *,
        make_folder: bool = True,
        limit_waiting: int = LIMIT_WAITING,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url, self._retention = url, datetime.timedelta(days=retention_days)
        self._make_folder, self._limit_waiting, self._timeout_s = make_folder, limit_waiting, timeout_s
        self._pool: ThreadPool | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening = threading.Lock()
        self._corrections: Corrections | None = None
        self._prepared = False
        self._failure = ""

    def start(self) -> None:
        """Starts the threads, and the deletion of expired corrections, now and every hour."""
        if self._url:
            self._pool = ThreadPool(THREADS, self._limit_waiting, "feedback", self._close_database)
            if self._retention:
                self._purge()
            else:
                self._pool.submit(self._look)

    def close(self) -> None:
        """Stops the threads without waiting; a correction that is being written may get lost."""
        if self._timer:
            self._timer.cancel()
        if self._pool:
            self._pool.close()

    def _close_database(self) -> None:
        """Runs on the last thread that ends, when no connection is in use."""
        if self._corrections:
            self._corrections.close()

    def check_room(self) -> None:
        """Backpressure: raises FeedbackUnavailable for a full queue, before the body is read; or FeedbackOff."""
        if self._open_pool().full:
            raise _busy(self._limit_waiting)

    async def add(
        self, digit: int, picture: SentPicture | RecentPrediction, client_key: str | None, client: str
    ) -> Added:
        """Stores a correction: the right digit of a picture; it replaces an earlier one by the same client.

        Raises KeyReused, FeedbackUnavailable, FeedbackOff.
        """
        content = picture._asdict() | {"digit": digit, "client_key": client_key, "client": client}
        return await self._submit(lambda corrections: corrections.add(**content))

    async def remove(self, number: int, client_key: str | None, client: str | None, *, anyone: bool) -> None:
        """Deletes a correction that was sent with the key or by the client, or that of `anyone`.

        Raises UnknownCorrection, FeedbackUnavailable, FeedbackOff.
        """

        def remove(corrections: Corrections) -> bool:
            return corrections.remove(number, client_key=client_key, client=client, anyone=anyone)

        if not await self._submit(remove):
            message = f"there is no correction {number}, or it was sent with another key, want {OWN}"
            raise UnknownCorrection("unknown_correction", message, field="id", found=str(number), wanted=OWN)

    async def page(self, after: int, limit: int) -> list[Correction]:
        """At most `limit` corrections with ids greater than `after`. Raises FeedbackUnavailable, FeedbackOff."""
        return await self._submit(lambda corrections: corrections.page(after, limit))

    async def _submit(self, work: Callable[[Corrections], Result]) -> Result:
        """Runs work on a thread of the pool. Raises FeedbackUnavailable after `timeout_s` or for a full queue."""
        try:
            future = self._open_pool().submit(lambda: self._run(work))
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

    def _run(self, work: Callable[[Corrections], Result], *, create: bool = True) -> Result:
        """Runs on a thread of the pool. Logs a failure of the database unless it repeats the last one.

        Raises KeyReused and FeedbackUnavailable.
        """
        from training.corrections import KeyReused as StoredKeyReused  # SQLAlchemy is slow to import

        try:
            result = work(self._open_database(create))
        except StoredKeyReused as error:
            raise KeyReused("key_reused", str(error), field="Idempotency-Key") from None
        except DigitsError as error:
            self._prepared, is_new, self._failure = False, str(error) != self._failure, str(error)
            if is_new:
                log.warning("corrections: %s", error)
            message = "the database of corrections does not do it, the log of the service says why; try again later"
            raise FeedbackUnavailable("feedback_unavailable", message) from None
        self._failure = ""
        return result

    def _open_database(self, create: bool) -> Corrections:
        """Opens the database if necessary; with `create`, also makes a database that does not exist."""
        from training.corrections import Corrections

        with self._opening:
            if self._corrections is None:
                corrections = Corrections(self._url)
                self._make_folder = self._make_folder and not corrections.folder_exists
                self._corrections = corrections
            if not self._prepared and (create or self._corrections.exist):
                self._corrections.prepare(make_folder=self._make_folder)
                self._prepared, self._make_folder = True, False
            return self._corrections

    def _look(self) -> None:
        """Opens the database, and so notes whether its folder is there."""
        with suppress(FeedbackUnavailable):
            self._run(lambda _: None, create=False)

    def _purge(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PURGE_INTERVAL_S, self._purge)
        with suppress(Full):
            self._open_pool().submit(self._delete_expired)

    def _delete_expired(self) -> None:
        """Deletes expired corrections; skips a database that does not exist yet or is being made by another process."""
        with suppress(FeedbackUnavailable):
            before = datetime.datetime.now(datetime.UTC) - self._retention
            self._run(lambda corrections: self._prepared and corrections.purge(before), create=False)


def _busy(limit: int) -> FeedbackUnavailable:
    message = f"{limit} requests wait for the database of corrections, and that is the limit; try again later"
    return FeedbackUnavailable("feedback_busy", message)
