"""Clients of a chaos run: patient ones, slow ones, ones that pipeline, that close their half, and that hang up."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.load.chaos.requests import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.load.chaos.requests import Known

PATIENCE_S = 60.0
WAYS = (
    "ask",
    "ask",
    "ask",
    "ask",
    "ask",
    "ask",
    "refused",
    "refused",
    "pipeline",
    "slowly",
    "half-close",
    "hang up",
    "correct",
)


class Lost(NamedTuple):
    """A request without an answer: what it was, and when it began and ended, in `time.monotonic()` seconds."""

    name: str
    began_s: float
    ended_s: float
    how: str


class Outcomes:
    """What has become of all requests."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self.lost: list[Lost] = []
        self.reconnected = 0
        self.slowest_s = 0.0

    def note(self, known: Known, answer: Answer, began_s: float) -> None:
        """Checks an answer."""
        self.answers[known.name, answer.status] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        try:
            right = answer.status in known.statuses and (answer.status != 200 or known.right(answer))
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            self.wrong.append(f"{known.name}: {answer.status} {answer.body[:200]!r}")


class Client:
    """One client on one connection at a time."""

    def __init__(
        self,
        port: int,
        outcomes: Outcomes,
        good: list[Known],
        refused: list[Known],
        corrections: list[Known],
        seed: int,
    ) -> None:
        self._port, self._outcomes = port, outcomes
        self._good, self._refused, self._corrections = good, refused, corrections
        self._random = random.Random(seed)
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, stopped: Callable[[], bool], pause_s: float) -> None:
        """Asks until it is stopped, with pauses of `pause_s` on average."""
        while not stopped():
            await asyncio.sleep(self._random.random() * 2 * pause_s)
            await self._ask_somehow(self._random.choice(WAYS))
        self._close()

    async def _ask_somehow(self, way: str) -> None:
        chosen = [self._random.choice(self._good)]
        if way == "refused":
            chosen = [self._random.choice(self._refused)]
        elif way == "correct":
            chosen = [self._random.choice(self._corrections)]
        elif way == "pipeline":
            chosen = [self._random.choice(self._good) for _ in range(4)]
        began_s, reused = time.monotonic(), self._connection is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                try:
                    await self._exchange(chosen, way, began_s)
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    if not reused or getattr(error, "partial", b""):
                        raise
                    self._outcomes.reconnected += 1  # the connection had been closed while it was idle
                    self._close()
                    await self._exchange(chosen, way, began_s)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._outcomes.lost.append(Lost(chosen[0].name, began_s, time.monotonic(), repr(error)))
            self._close()

    async def _exchange(self, chosen: list[Known], way: str, began_s: float) -> None:
        if self._connection is None:
            self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._connection
        data = b"".join(known.wire for known in chosen)
        if way == "slowly":
            for start in range(0, len(data), len(data) // 4 + 1):
                writer.write(data[start : start + len(data) // 4 + 1])
                await asyncio.sleep(0.1)
        else:
            writer.write(data)
        if way == "hang up":
            await asyncio.sleep(self._random.random() * 0.02)
            self._close()
            return
        if way == "half-close":
            writer.write_eof()
        for known in chosen:
            answer = await read_answer(reader)
            self._outcomes.note(known, answer, began_s)
            if answer.headers.get("connection") == "close":
                self._close()
                return
        if way == "half-close":
            self._close()

    def _close(self) -> None:
        if self._connection:
            self._connection[1].transport.abort()
            self._connection = None


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer of a connection."""
    status = 100
    while status == 100:  # an interim answer
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        status = int(first.split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
