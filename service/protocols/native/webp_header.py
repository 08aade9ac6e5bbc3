"""The header of a WebP file (RFC 9649): the size of the picture, or of the canvas of an animation.

Untrusted input: the work is bounded whatever the bytes are.
"""

from __future__ import annotations

from typing import Final

from service.protocols.native.image_header import Size, Unreadable

SHORTEST: Final = 30
"""Bytes up to the end of the size in the longest of the three forms."""
LOSSY_START: Final = b"\x9d\x01\x2a"
LOSSLESS_SIGNATURE: Final = 0x2F
SIDE_BITS: Final = 14
"""Bits of a side in the two forms without an extended header."""
SIDE_MASK: Final = 2**SIDE_BITS - 1


def webp_size(body: bytes) -> Size:
    """The size of the picture in a WebP file. Raises Unreadable."""
    if not body.startswith(b"RIFF") or body[8:12] != b"WEBP" or len(body) < SHORTEST:
        raise Unreadable("not a WebP file")
    match body[12:16]:
        case b"VP8X":  # extended
            return Size(_number(body[24:27]) + 1, _number(body[27:30]) + 1)
        case b"VP8 " if body[23:26] == LOSSY_START:
            return Size(_number(body[26:28]) & SIDE_MASK, _number(body[28:30]) & SIDE_MASK)
        case b"VP8L" if body[20] == LOSSLESS_SIGNATURE:
            sides = _number(body[21:25])
            return Size((sides & SIDE_MASK) + 1, (sides >> SIDE_BITS & SIDE_MASK) + 1)
    raise Unreadable("its size is not found")


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")
