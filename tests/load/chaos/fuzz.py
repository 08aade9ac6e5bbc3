"""Fuzzed requests over all routes: damaged bodies, other media types and encodings. None may make the service fail."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.load.chaos.clients import read_answer
from tests.load.chaos.requests import JPEG, JSON, NPY, OCTETS, OTHERS, PNG

if TYPE_CHECKING:
    from tests.load.chaos.requests import Known

CONNECTIONS = 16
LIMIT_S = 2.0
ALLOWED = frozenset((503, 504))
MEDIA_TYPES = (JSON, OCTETS, NPY, PNG, JPEG, *OTHERS.values(), "text/plain", "application/json; charset=latin-1")
ENCODINGS = ("", "", "", "", "gzip", "deflate", "br")
TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b'"',
    b"\\",
    b"null",
    b"true",
    b"NaN",
    b"1e999",
    b"-1",
    b"\0",
    b"\xff",
    b"\xff\xda",
    b"IDAT",
)


class Fuzzed(NamedTuple):
    """What fuzzing found: answers by status, and requests that failed or took too long."""

    statuses: Counter[int]
    failures: list[str]
    slowest_s: float


def damaged(body: bytes, chosen: random.Random) -> bytes:
    """A body with a few changes."""
    changed = bytearray(body)
    for _ in range(chosen.choice((1, 1, 2, 5, 20))):
        place = chosen.randrange(len(changed) + 1)
        match chosen.randrange(6):
            case 0 if changed:
                changed[place % len(changed)] = chosen.randrange(256)
            case 1:
                del changed[place : place + chosen.choice((1, 2, 10, 1000))]
            case 2:
                changed[place:place] = chosen.choice(TOKENS)
            case 3:
                del changed[place:]
            case 4:
                changed[place:place] = changed[place : place + chosen.choice((1, 100, 5000))]
            case _:
                changed[place:place] = bytes(chosen.randrange(256) for _ in range(4))
    return bytes(changed[: 2**20])


async def fuzz(port: int, seeds: list[Known], count: int, seed: int, watch=lambda done: None) -> Fuzzed:
    """Sends `count` requests made of `seeds`."""
    found = Fuzzed(Counter(), [], 0.0)
    left = iter(range(count))
    slowest = [0.0]

    async def client(number: int) -> None:
        chosen, connection = random.Random(seed * 1000 + number), None
        for done in left:
            known = chosen.choice(seeds)
            head, _, body = known.wire.partition(b"\r\n\r\n")
            line, *headers = head.split(b"\r\n")
            body = damaged(body, chosen)
            kept = [header for header in headers if not header.lower().startswith((b"content-length", b"content-enc"))]
            if chosen.random() < 0.1:
                kept = [header for header in kept if not header.lower().startswith(b"content-type")]
                kept.append(b"Content-Type: " + chosen.choice(MEDIA_TYPES).encode())
            if encoding := chosen.choice(ENCODINGS) if chosen.random() < 0.2 else known.encoding:
                kept.append(b"Content-Encoding: " + encoding.encode())
            kept.append(b"Content-Length: %d" % len(body))
            request = b"\r\n".join([line, *kept, b"", body])
            began_s = time.monotonic()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", port)
                connection[1].write(request)
                answer = await asyncio.wait_for(read_answer(connection[0]), 30)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                found.failures.append(f"{known.name}: {error!r} {request[:300]!r}")
                connection = None
                continue
            seconds = time.monotonic() - began_s
            slowest[0] = max(slowest[0], seconds)
            found.statuses[answer.status] += 1
            if (answer.status >= 500 and answer.status not in ALLOWED) or seconds > LIMIT_S:
                found.failures.append(
                    f"{known.name}: {answer.status} in {seconds:.2f} s {request[:300]!r} {answer.body[:200]!r}"
                )
            if answer.headers.get("connection") == "close":
                connection[1].close()
                connection = None
            watch(done)
        if connection:
            connection[1].close()

    await asyncio.gather(*map(client, range(CONNECTIONS)))
    return found._replace(slowest_s=slowest[0])
