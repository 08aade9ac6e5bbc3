"""Work off the event loop, for requests that take long: each kind of work has its own queue and threads.

JSON is parsed in a process of its own: parsers hold Python's interpreter lock (GIL) from the first byte to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from queue import Full
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from service.concurrency import ThreadPool
from service.engine.errors import DeadlineExceeded
from service.errors import NotReady
from service.helper_process import HelperDied, HelperProcess
from service.http.disconnect import cancel_on_disconnect

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive

Result = TypeVar("Result")

INLINE_BYTES: Final = 2**17
"""Size up to which JSON is decoded on the event loop: 40 pictures, or 20 ms for the slowest JSON."""
INLINE_BINARY_BYTES: Final = 2**20
"""Size up to which numbers in binary are decoded on the event loop."""
INLINE_ROWS: Final = 512
"""Number of answers up to which a response is encoded on the event loop: 10 ms for the slowest form."""
LIMIT_WAITING: Final = 64
"""Maximum number of bodies of a kind that wait for a thread."""
LIMIT_RECEIVING_BYTES: Final = 2**27
"""Maximum total size of the bodies that are being received."""
LIMIT_WAITING_BYTES: Final = 2**26
"""Maximum total size of the bodies of a kind that wait or are being worked on."""


class Kind(NamedTuple):
    """A kind of work: what it works on, and its number of threads."""

    name: str
    threads: int


JSON_BODIES: Final = Kind("large JSON bodies", 1)
BODIES: Final = Kind("large bodies", 1)
"""Numbers in binary, and compressed bodies: NumPy and zlib release the GIL."""
SMALL_PICTURES: Final = Kind("pictures", 2)
LARGE_PICTURES: Final = Kind("large pictures", 1)
"""One at a time: each takes up to 120 MB of memory, and seconds."""


class Offload:
    """Runs work on threads, first come, first served within a kind. Threads start with the first work of their kind.

    Not thread-safe: one event loop only.
    """

    def __init__(self, limit_waiting: int = LIMIT_WAITING) -> None:
        self._limit_waiting = limit_waiting
        self._pools: dict[Kind, ThreadPool] = {}
        self._waiting_bytes: dict[Kind, int] = {}
        self._helper = HelperProcess()
        self._receiving_bytes = 0

    def receive(self, size_bytes: int) -> None:
        """Counts bytes of a body that has not ended, until `received`. Raises NotReady above the limit."""
        self._receiving_bytes += size_bytes
        if self._receiving_bytes > LIMIT_RECEIVING_BYTES:
            raise NotReady("queue_full", "too many bytes of bodies are being received; try again later")

    def received(self, size_bytes: int) -> None:
        """Stops to count the bytes of a body: it has ended, or is refused."""
        self._receiving_bytes -= size_bytes

    async def decode_json(
        self,
        decode: Callable[[bytes], Result],
        body: bytes,
        deadline_s: float | None = None,
        receive: Receive | None = None,
    ) -> Result:
        """`decode(body)`: at once for a small body, in the helper process for a large one.

        Raises the errors of `decode` and of `run`.
        """
        if len(body) <= INLINE_BYTES:
            return decode(body)
        try:
            return await self.run(JSON_BODIES, lambda: self._helper.run(decode, body), len(body), deadline_s, receive)
        except HelperDied:
            raise NotReady("decoder_died", "the process that decodes large bodies has ended; try again") from None

    async def decode_binary(
        self,
        decode: Callable[[bytes], Result],
        body: bytes,
        deadline_s: float | None = None,
        receive: Receive | None = None,
    ) -> Result:
        """`decode(body)`: at once for a small body, on a thread for a large one.

        Raises the errors of `decode` and of `run`.
        """
        if len(body) <= INLINE_BINARY_BYTES:
            return decode(body)
        return await self.run(BODIES, lambda: decode(body), len(body), deadline_s, receive)

    async def run(
        self,
        kind: Kind,
        work: Callable[[], Result],
        size_bytes: int,
        deadline_s: float | None = None,
        receive: Receive | None = None,
    ) -> Result:
        """The result of `work` on a body of `size_bytes`; `deadline_s` is in `time.monotonic()` seconds.

        Raises the errors of `work`, NotReady when too many bodies wait (backpressure), DeadlineExceeded, and
        ClientDisconnect when the client of `receive` hangs up.
        """
        pool, waiting_bytes = self._pool(kind), self._waiting_bytes[kind]
        if waiting_bytes + size_bytes > LIMIT_WAITING_BYTES:
            raise _busy(f"{waiting_bytes} bytes of {kind.name}")
        todo = [work]
        try:
            future = pool.submit(lambda: todo.pop()())
        except Full:
            raise _busy(f"{self._limit_waiting} {kind.name}") from None
        self._waiting_bytes[kind] += size_bytes
        try:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            async with cancel_on_disconnect(receive), asyncio.timeout(left_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            if future.cancelled():
                todo.clear()  # the queue does not keep the body
            if future.running():  # and the thread does
                loop = asyncio.get_running_loop()
                future.add_done_callback(lambda _: _call_soon(loop, lambda: self._release(kind, size_bytes)))
            else:
                self._release(kind, size_bytes)
            del future  # an error is in the future, and its traceback leads to this frame

    async def encode(self, encode: Callable[[], Result], rows: int, deadline_s: float) -> Result:
        """`encode()`, which makes a response of `rows` answers: at once for a few, on a thread for many.

        Raises the errors of `run`.
        """
        if rows <= INLINE_ROWS:
            return encode()
        return await self.run(BODIES, encode, 0, deadline_s)

    def close(self) -> None:
        """Ends the threads without waiting, and the helper process."""
        self._helper.close()
        for pool in self._pools.values():
            pool.close()

    def _pool(self, kind: Kind) -> ThreadPool:
        if kind not in self._pools:
            self._pools[kind] = ThreadPool(kind.threads, self._limit_waiting, kind.name)
            self._waiting_bytes[kind] = 0
        return self._pools[kind]

    def _release(self, kind: Kind, size_bytes: int) -> None:
        self._waiting_bytes[kind] -= size_bytes


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop is closed
        loop.call_soon_threadsafe(call)


def _busy(waiting: str) -> NotReady:
    return NotReady("queue_full", f"{waiting} wait to be decoded, and that is the limit; try again later")
