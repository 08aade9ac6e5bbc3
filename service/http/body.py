"""The body of a request, read as far as the limit and no further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from service.errors import TooLarge
from service.http.compression import check_encoding, inflate

if TYPE_CHECKING:
    from starlette.types import Receive

    from service.headers import Headers

INFLATED_AT_ONCE: Final = 2**16
"""Longer bodies are inflated on another thread, or they would hold up everybody."""


async def read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    """The body, inflated if it is compressed.

    Raises TooLarge, by Content-Length before anything is read, and as it arrives whatever that said; WrongMediaType,
    MalformedBody, and ClientDisconnect when the client hangs up before its end.
    """
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if encoding == "identity":
        encoding = ""
    if encoding:
        check_encoding(encoding)
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and _exceeds(announced, limit_bytes):
        raise _too_large(f"{announced.decode()} bytes", limit_bytes)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(f"more than {limit_bytes} bytes", limit_bytes)
        chunks.append(chunk)
        more = message.get("more_body", False)
    body = b"".join(chunks) if len(chunks) > 1 else chunks[0]
    if not encoding:
        return body
    if len(body) < INFLATED_AT_ONCE:
        return inflate(body, encoding, limit_bytes)
    return await asyncio.to_thread(inflate, body, encoding, limit_bytes)


def _exceeds(announced: bytes, limit_bytes: int) -> bool:
    return len(announced) > 18 or int(announced) > limit_bytes


def _too_large(found: str, limit_bytes: int) -> TooLarge:
    return TooLarge(
        "body_too_large",
        f"the body has {found}, want at most {limit_bytes}",
        found=found,
        wanted=f"at most {limit_bytes} bytes",
    )
