"""Compressed bodies: gzip (RFC 1952) and deflate (RFC 1950, or the bare RFC 1951 that some send under that name)."""

from __future__ import annotations

import zlib
from typing import Final

from service.errors import MalformedBody, TooLarge, WrongMediaType

GZIP, DEFLATE = ("gzip", "x-gzip"), "deflate"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
WANTED: Final = "gzip, deflate, or the body as it is"


def check_encoding(encoding: str) -> None:
    """Raises WrongMediaType for an encoding that `inflate` does not know."""
    if encoding not in (*GZIP, DEFLATE):
        raise WrongMediaType(
            "unsupported_encoding",
            f"Content-Encoding is {encoding}, want {WANTED}",
            field="Content-Encoding",
            found=encoding,
            wanted=WANTED,
        )


def inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """What the body was before it was compressed. No more than `limit_bytes` of it are ever in memory.

    Raises TooLarge when there is more, MalformedBody when the body is damaged or cut short.
    """
    window = GZIP_WINDOW
    if encoding == DEFLATE:
        window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
    inflated = b""
    while True:
        stream = zlib.decompressobj(window)
        try:
            inflated += stream.decompress(body, limit_bytes + 1 - len(inflated))
        except zlib.error as error:
            raise _malformed(encoding, str(error)) from None
        if len(inflated) > limit_bytes:
            raise TooLarge(
                "body_too_large",
                f"the body inflates to more than {limit_bytes} bytes, want at most {limit_bytes}",
                found=f"more than {limit_bytes} bytes",
                wanted=f"at most {limit_bytes} bytes",
            )
        if not stream.eof:
            raise _malformed(encoding, "it is cut short")
        body = stream.unused_data
        if not body:
            return inflated
        if window != GZIP_WINDOW:  # a gzip body may have several members
            raise _malformed(encoding, "something follows its end")


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def _malformed(encoding: str, reason: str) -> MalformedBody:
    return MalformedBody(
        "invalid_compression", f"the body is not valid {encoding}: {reason}", found=reason, wanted=f"valid {encoding}"
    )
