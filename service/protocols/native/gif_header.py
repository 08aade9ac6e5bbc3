"""The blocks of a GIF file up to its first frame: the size of the picture, and the file without the other frames.

GIF89a specification (CompuServe 1990). Untrusted input: the work is bounded whatever the bytes are.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from service.protocols.native.image_header import Size, Unreadable

LIMIT_BLOCKS: Final = 10_000
"""Maximum number of blocks of comments and other extensions before the first frame: 2.5 MB of full blocks."""
HEADER_BYTES: Final = 13
PALETTE: Final = 0x80
"""The bit of the flags that says that a palette follows the header."""
EXTENSION, FRAME, GRAPHIC_CONTROL = 0x21, 0x2C, 0xF9


class _Start(NamedTuple):
    """Where the parts of a GIF file are that its first frame needs; bytes from `frame` on are the frame."""

    palette_end: int
    control: slice
    """The graphic control extension of the frame, which says which colour is transparent; or empty."""
    frame: int


def gif_size(body: bytes) -> Size:
    """The size of the picture: the screen, and the first frame where it is larger. Raises Unreadable."""
    start = _start(body)
    try:
        screen_width, screen_height = struct.unpack_from("<HH", body, 6)
        left, top, width, height = struct.unpack_from("<HHHH", body, start.frame + 1)
    except struct.error:
        raise Unreadable("it is cut short") from None
    return Size(max(screen_width, left + width), max(screen_height, top + height))


def essential_gif(body: bytes) -> bytes:
    """A GIF file that begins with its first frame, without comments and other extensions. Raises Unreadable."""
    start = _start(body)
    return b"".join([body[: start.palette_end], body[start.control], body[start.frame :]])


def _start(body: bytes) -> _Start:
    """Raises Unreadable for a file without a frame near its beginning."""
    if not body.startswith((b"GIF87a", b"GIF89a")):
        raise Unreadable("not a GIF file")
    try:
        flags = body[10]
        offset = palette_end = HEADER_BYTES + (3 << ((flags & 7) + 1) if flags & PALETTE else 0)
        control, extension = slice(0), 0
        for _ in range(LIMIT_BLOCKS):
            if not extension:
                if body[offset] == FRAME:
                    return _Start(palette_end, control, offset)
                if body[offset] != EXTENSION:
                    raise Unreadable("it has no picture")
                extension, offset = offset, offset + 2
            elif length := body[offset]:  # a block of the extension
                offset += 1 + length
            else:
                offset += 1
                if body[extension + 1] == GRAPHIC_CONTROL:
                    control = slice(extension, offset)
                extension = 0
    except IndexError:
        raise Unreadable("it is cut short") from None
    raise Unreadable(f"it has more than {LIMIT_BLOCKS} blocks before its picture, want at most {LIMIT_BLOCKS}")
