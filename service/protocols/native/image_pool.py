"""Decodes image files on a thread pool, off the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from queue import Full
from typing import TYPE_CHECKING, Final

from service.concurrency import ThreadPool
from service.engine.errors import DeadlineExceeded
from service.errors import NotReady
from service.protocols.native.image_file import decode_image

if TYPE_CHECKING:
    from service.protocols.pictures import Decoded
    from training.picture import Ink

THREADS: Final = 2
LIMIT_WAITING: Final = 64
"""Maximum number of bodies that wait for a thread."""
LIMIT_WAITING_BYTES: Final = 2**26
"""Maximum total size of the bodies that wait or are being decoded."""


class ImageDecoderPool:
    """Decodes pictures of at most `limit_pixels` on `threads` threads, which start with the first picture.

    Not thread-safe: one event loop only.
    """

    def __init__(self, limit_pixels: int, *, threads: int = THREADS, limit_waiting: int = LIMIT_WAITING) -> None:
        self._limit_pixels, self._threads, self._limit_waiting = limit_pixels, threads, limit_waiting
        self._pool: ThreadPool | None = None
        self._waiting_bytes = 0
        self._large = threading.Lock()

    async def decode(self, body: bytes, media_type: str, ink: Ink | None, deadline_s: float) -> Decoded:
        """The picture of a body; `deadline_s` is in `time.monotonic()` seconds.

        Raises the errors of `decode_image`, NotReady when too many bodies wait (backpressure), and DeadlineExceeded.
        """
        if self._pool is None:
            self._pool = ThreadPool(self._threads, self._limit_waiting, "picture")
        if self._waiting_bytes + len(body) > LIMIT_WAITING_BYTES:
            raise _busy(f"{self._waiting_bytes} bytes of pictures")
        try:
            future = self._pool.submit(lambda: self._decode(body, media_type, ink))
        except Full:
            raise _busy(f"{self._limit_waiting} pictures") from None
        self._waiting_bytes += len(body)
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            self._waiting_bytes -= len(body)

    def _decode(self, body: bytes, media_type: str, ink: Ink | None) -> Decoded:
        return decode_image(body, media_type, ink, limit_pixels=self._limit_pixels, large=self._large)

    def close(self) -> None:
        """Ends the threads without waiting."""
        if self._pool:
            self._pool.close()


def _busy(waiting: str) -> NotReady:
    return NotReady("queue_full", f"{waiting} wait to be prepared, and that is the limit; try again later")
