"""The header of a BMP file: the size of the picture, and whether it is compressed.

Untrusted input: the work is bounded whatever the bytes are.
"""

from __future__ import annotations

import struct
from typing import Final

from service.protocols.native.image_header import Size, Unreadable

OS2: Final = 12
"""Size in bytes of the oldest header, whose numbers have 16 bits."""
HEADERS: Final = (40, 52, 56, 64, 108, 124)
"""Sizes in bytes of the later headers, all of which begin alike."""
UNCOMPRESSED: Final = (0, 3)
"""No compression, without and with bit masks for the colours. Pillow decodes run lengths in Python: seconds for a
picture of a few million pixels."""


def bmp_size(body: bytes) -> Size:
    """The size of the picture in a BMP file. Raises Unreadable, also for one that is compressed."""
    if not body.startswith(b"BM"):
        raise Unreadable("not a BMP file")
    try:
        (header,) = struct.unpack_from("<I", body, 14)
        if header == OS2:
            width, height, compression = *struct.unpack_from("<HH", body, 18), 0
        elif header in HEADERS:
            width, height, _, compression = struct.unpack_from("<iiII", body, 18)
        else:
            raise Unreadable(f"its header has {header} bytes")
    except struct.error:
        raise Unreadable("it is cut short") from None
    if compression not in UNCOMPRESSED:
        raise Unreadable(f"its compression is {compression}, want none")
    if width <= 0:
        raise Unreadable(f"its width is {width}")
    return Size(width, abs(height))  # a negative height says that the rows run from top to bottom
