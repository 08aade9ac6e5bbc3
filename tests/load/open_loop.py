"""Load at a rate that does not depend on the answers: what comes in comes in, as from many people.

One process on uvloop with bare connections: requests are ready-made bytes, and of an answer only the status and the
length are read. So it takes few of the two processors from the server. A request that is due takes an idle connection,
or a new one. Its time runs from the moment at which it was due.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.load.questions import Question

MOST_CONNECTIONS = 4096
GRACE_S = 10.0
"""How long answers are waited for after the last question."""
UNANSWERED, UNASKED = "unanswered", "unasked"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HEALTH_PER_S = 10


@dataclass
class Outcome:
    """How requests ended: by status or UNANSWERED, and the seconds that those with 200 took."""

    asked: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    seconds_of_200: list[float] = field(default_factory=list)
    good_in_time: int = 0
    """Answers with 200 before the last question."""
    connections: int = 0
    longest_delay_s: float = 0.0
    """How far the generator itself fell behind, at worst."""


def offer(
    port: int, question: Question, per_s: float, seconds: float, halfway: Callable[[], None]
) -> tuple[Outcome, Outcome]:
    """Asks at this rate for so long, and for the health meanwhile; `halfway` is called in the middle."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        load = _Load(port, _request(question), per_s, seconds, halfway)
        return uvloop.run(_both(load, _Load(port, HEALTH, HEALTH_PER_S, seconds, lambda: None)))
    finally:
        gc.enable()
        gc.unfreeze()


async def _both(load: _Load, health: _Load) -> tuple[Outcome, Outcome]:
    return await asyncio.gather(load.run(), health.run())


def _request(question: Question) -> bytes:
    headers = {"Host": "127.0.0.1", "Content-Type": question.content_type, **question.headers}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    head = f"POST {question.path} HTTP/1.1\r\n{lines}Content-Length: {len(question.body)}\r\n\r\n"
    return head.encode() + question.body


class _Load:
    """The schedule, the connections that are idle, and what came of the requests so far."""

    def __init__(self, port: int, request: bytes, per_s: float, seconds: float, halfway: Callable[[], None]) -> None:
        self.outcome = Outcome()
        self.idle: list[_Connection] = []
        self._port, self._request, self._per_s, self._seconds, self._halfway = port, request, per_s, seconds, halfway
        self._opening: set[asyncio.Task[None]] = set()
        self.open: set[_Connection] = set()

    async def run(self) -> Outcome:
        """Offers the load and waits for the last answers."""
        began = time.perf_counter()
        count = round(self._per_s * self._seconds)
        for number in range(count):
            if number == count // 2:
                self._halfway()
            due = began + number / self._per_s
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
                due = min(due, time.perf_counter())  # uvloop counts whole milliseconds, and may wake too early
            elif not number % 16:
                await asyncio.sleep(0)  # late: answers are to be read all the same
            self.outcome.longest_delay_s = max(self.outcome.longest_delay_s, -early)
            self._ask(due)
        self.outcome.good_in_time = self.outcome.ends["200"]
        end = time.perf_counter() + GRACE_S
        while time.perf_counter() < end and self.outcome.ends.total() < count:
            await asyncio.sleep(0.05)
        self.outcome.ends[UNANSWERED] += count - self.outcome.ends.total()
        await self._close()
        return self.outcome

    async def _close(self) -> None:
        """Leaves nothing open: uvloop has been seen to wait for ever for what was, when it is closed itself."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self.open:
            connection.close()
        while self.open:
            await asyncio.sleep(0.01)

    def _ask(self, due: float) -> None:
        self.outcome.asked += 1
        if self.idle:
            self.idle.pop().ask(self._request, due)
        elif self.outcome.connections < MOST_CONNECTIONS:
            self.outcome.connections += 1
            task = asyncio.get_running_loop().create_task(self._open(due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.outcome.ends[UNASKED] += 1

    async def _open(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            self.outcome.connections -= 1
            self.outcome.ends[UNANSWERED] += 1
        else:
            connection.ask(self._request, due)


class _Connection(asyncio.Protocol):
    """A connection that waits for one answer at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._due: float | None = None
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.open.add(self)

    def close(self) -> None:
        """Hangs up, whether there is an answer or not."""
        self._due = None
        self._transport.abort()  # type: ignore[attr-defined] # it is a transport that writes

    def ask(self, request: bytes, due: float) -> None:
        """Sends a request that was due at this moment."""
        self._due, self._head, self._missing = due, b"", -1
        self._transport.write(request)  # type: ignore[attr-defined] # it is a transport that writes

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = _content_length(self._head[:end]) - (len(self._head) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.open.discard(self)
        outcome = self._load.outcome
        outcome.connections -= 1
        if self._due is not None:
            outcome.ends[UNANSWERED] += 1
        elif self in self._load.idle:
            self._load.idle.remove(self)

    def _answered(self) -> None:
        if self._due is None:
            return
        outcome, status = self._load.outcome, self._head[9:12].decode()
        outcome.ends[status] += 1
        if status == "200":
            outcome.seconds_of_200.append(time.perf_counter() - self._due)
        self._due = None
        if b"connection: close" not in self._head.lower():
            self._load.idle.append(self)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    return 0
