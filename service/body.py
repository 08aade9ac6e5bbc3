"""The body of a request, read as far as the limit and no further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from service.errors import TooLarge
from service.inflate import check_encoding, inflate

if TYPE_CHECKING:
    from starlette.requests import Request

INFLATED_AT_ONCE: Final = 2**16
"""Longer bodies are inflated on another thread, or they would hold up everybody."""


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, inflated if it is compressed.

    Raises TooLarge, by Content-Length before anything is read, and as it arrives whatever that said; WrongMediaType,
    MalformedBody.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding == "identity":
        encoding = ""
    if encoding:
        check_encoding(encoding)
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and _exceeds(announced, limit_bytes):
        raise _too_large(f"{announced} bytes", limit_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(f"more than {limit_bytes} bytes", limit_bytes)
        chunks.append(chunk)
    body = b"".join(chunks)
    if not encoding:
        return body
    if len(body) < INFLATED_AT_ONCE:
        return inflate(body, encoding, limit_bytes)
    return await asyncio.to_thread(inflate, body, encoding, limit_bytes)


def _exceeds(announced: str, limit_bytes: int) -> bool:
    return len(announced) > 18 or int(announced) > limit_bytes


def _too_large(found: str, limit_bytes: int) -> TooLarge:
    return TooLarge(
        "body_too_large",
        f"the body has {found}, want at most {limit_bytes}",
        found=found,
        wanted=f"at most {limit_bytes} bytes",
    )
