"""Request bodies: reading up to a size limit, and decompression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from service.errors import TooLarge
from service.http.compression import check_encoding, inflate
from service.http.offload import BODIES

if TYPE_CHECKING:
    from starlette.types import Receive

    from service.headers import Headers
    from service.http.offload import Offload

INLINE_INFLATE_BYTES: Final = 2**12
"""Size up to which a compressed body is inflated on the event loop: it has at most LIMIT_UNCHECKED_BYTES then."""
LENGTH_DIGITS: Final = 18
"""Digits of a Content-Length above which it is too large without being parsed."""


async def read_body(receive: Receive, headers: Headers, limit_bytes: int, offload: Offload) -> bytes:
    """The body of a request, inflated if it is compressed: a small one at once, a large one by `offload`.

    Content-Length is checked before the body is read, and the bytes received are counted as well.
    Raises TooLarge; WrongMediaType for an unknown Content-Encoding; MalformedBody for a body that cannot be inflated;
    ClientDisconnect when the client hangs up before the end of the body; and the errors of `Offload.run`.
    """
    encoding = _encoding(headers) if b"content-encoding" in headers else ""
    content_length = headers.get(b"content-length", b"0")  # which the server has checked
    if len(content_length) > LENGTH_DIGITS or int(content_length) > limit_bytes:
        raise _too_large(f"{content_length.decode()} bytes", limit_bytes)
    body = await _received(receive, limit_bytes, offload)
    if not encoding:
        return body
    if len(body) <= INLINE_INFLATE_BYTES:
        return inflate(body, encoding, limit_bytes)
    return await offload.run(BODIES, lambda: inflate(body, encoding, limit_bytes), len(body))


async def _received(receive: Receive, limit_bytes: int, offload: Offload) -> bytes:
    """The body as it comes. Raises TooLarge, ClientDisconnect, and NotReady when too much is being received."""
    chunks: list[bytes] = []
    size = counted = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            chunks.append(chunk)
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(f"more than {limit_bytes} bytes", limit_bytes)
            if not message.get("more_body", False):
                return chunk if size == len(chunk) else b"".join(chunks)
            counted = size
            offload.receive(len(chunk))
    finally:
        if counted:
            offload.received(counted)


def _encoding(headers: Headers) -> str:
    """The Content-Encoding; empty for `identity`. Raises WrongMediaType for an unknown one."""
    encoding = headers[b"content-encoding"].decode("latin-1").strip().lower()
    if encoding in ("", "identity"):
        return ""
    check_encoding(encoding)
    return encoding


def _too_large(found: str, limit_bytes: int) -> TooLarge:
    return TooLarge(
        "body_too_large",
        f"the body has {found}, want at most {limit_bytes}",
        found=found,
        wanted=f"at most {limit_bytes} bytes",
    )
