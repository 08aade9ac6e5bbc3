"""Compressed request bodies: gzip (RFC 1952) and deflate (RFC 1950, or raw RFC 1951 as some clients send)."""

from __future__ import annotations

import zlib
from typing import Final

from service.errors import MalformedBody, TooLarge, WrongMediaType

GZIP, DEFLATE = ("gzip", "x-gzip"), "deflate"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
SLICE_BYTES: Final = 2**14
"""Input of one zlib call: zlib copies all input behind the end of a gzip member, up to the whole rest of the body."""
LIMIT_MEMBERS: Final = 4096
"""Maximum number of members of a gzip body: 256 MiB as bgzip writes them, with 64 KiB in each."""
LIMIT_RATIO: Final = 256
"""Maximum ratio of inflation above LIMIT_UNCHECKED_BYTES; digits in JSON have 10 to 60, blank pictures up to 1,000."""
LIMIT_UNCHECKED_BYTES: Final = 2**20
WANTED: Final = "gzip, deflate, or the body as it is"


def check_encoding(encoding: str) -> None:
    """Raises WrongMediaType for a Content-Encoding that `inflate` does not support."""
    if encoding not in (*GZIP, DEFLATE):
        raise WrongMediaType(
            "unsupported_encoding",
            f"Content-Encoding is {encoding}, want {WANTED}",
            field="Content-Encoding",
            found=encoding,
            wanted=WANTED,
        )


def inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """The decompressed body. Decompression stops at `limit_bytes`, to be safe from decompression bombs.

    Raises TooLarge above `limit_bytes`, and above LIMIT_UNCHECKED_BYTES for a ratio above LIMIT_RATIO; MalformedBody
    for a body that is damaged, cut short, or of more than LIMIT_MEMBERS gzip members.
    """
    limit = min(limit_bytes, max(LIMIT_UNCHECKED_BYTES, LIMIT_RATIO * len(body)))
    window = GZIP_WINDOW
    if encoding == DEFLATE:
        window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
    pieces: list[bytes] = []
    size = start = 0
    members, stream = 1, zlib.decompressobj(window)
    while True:
        piece = body[start : start + SLICE_BYTES]
        try:
            pieces.append(stream.decompress(piece, limit + 1 - size))
        except zlib.error as error:
            raise _malformed(encoding, str(error)) from None
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit, f" for one of {len(body)} bytes" if limit < limit_bytes else "")
        start += len(piece) - len(stream.unused_data)
        if stream.eof:
            if start == len(body):
                return b"".join(pieces)
            if window != GZIP_WINDOW:  # a gzip body may have several members
                raise _malformed(encoding, "something follows its end")
            if members == LIMIT_MEMBERS:
                raise _too_many_members()
            members, stream = members + 1, zlib.decompressobj(window)
        elif start == len(body):
            raise _malformed(encoding, "it is cut short")


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def _too_large(limit_bytes: int, which: str) -> TooLarge:
    found, wanted = f"more than {limit_bytes} bytes", f"at most {limit_bytes} bytes{which}"
    message = f"the body inflates to {found}, want at most {limit_bytes}{which}"
    return TooLarge("body_too_large", message, found=found, wanted=wanted)


def _malformed(encoding: str, reason: str) -> MalformedBody:
    return MalformedBody(
        "invalid_compression", f"the body is not valid {encoding}: {reason}", found=reason, wanted=f"valid {encoding}"
    )


def _too_many_members() -> MalformedBody:
    return MalformedBody(
        "invalid_compression",
        f"the body has more than {LIMIT_MEMBERS} gzip members, want at most {LIMIT_MEMBERS}",
        found=f"more than {LIMIT_MEMBERS} members",
        wanted=f"at most {LIMIT_MEMBERS} members",
    )
