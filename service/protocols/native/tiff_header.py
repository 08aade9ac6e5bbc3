"""The first directory of a TIFF file (TIFF 6.0, Adobe 1992): the size of the picture, and limits of its decoding.

Untrusted input: the work is bounded whatever the bytes are.
"""

from __future__ import annotations

import struct
from typing import Final

from service.protocols.native.image_header import Size, Unreadable

LIMIT_TAGS: Final = 1_000
"""Maximum number of tags; scanners and cameras write up to 60."""
LIMIT_TILE_PIXELS: Final = 2**22
"""Maximum number of pixels of a tile, which is decoded as a whole."""
TILE_STEP: Final = 16
"""The sides of tiles are multiples of this."""
BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
TYPES: Final = {3: "H", 4: "I"}
"""Types of whole numbers -> their format for `struct`."""
NEEDED: Final = (256, 257, 259, 274, 322, 323)
WIDTH, HEIGHT, COMPRESSION, ORIENTATION, TILE_WIDTH, TILE_HEIGHT = NEEDED
COMPRESSIONS: Final = {
    1: "none",
    5: "LZW",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
}
"""Compressions that are read. Of the others, LZMA may take 4 GB for a dictionary, and JPEG 100 scans of each strip; for
CCITT, libtiff writes a line to stderr for each damaged row."""
TURNED: Final = (5, 6, 7, 8)
"""Orientations with rows for columns."""


def tiff_size(body: bytes) -> Size:
    """The size of the first picture in a TIFF file, upright. Raises Unreadable, also for a compression not read."""
    tags = _tags(body)
    if tags.get(COMPRESSION, 1) not in COMPRESSIONS:
        wanted = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        raise Unreadable(f"its compression is {tags[COMPRESSION]}, want one of {wanted}")
    if WIDTH not in tags or HEIGHT not in tags:
        raise Unreadable("its size is not found")
    if TILE_WIDTH in tags or TILE_HEIGHT in tags:
        width, height = tags.get(TILE_WIDTH, 0), tags.get(TILE_HEIGHT, 0)
        if not 0 < width * height <= LIMIT_TILE_PIXELS or width % TILE_STEP or height % TILE_STEP:
            raise Unreadable(
                f"its tiles have {width} x {height} pixels, want multiples of {TILE_STEP}, at most "
                f"{LIMIT_TILE_PIXELS} pixels"
            )
    size = Size(tags[WIDTH], tags[HEIGHT])
    return Size(size.height, size.width) if tags.get(ORIENTATION) in TURNED else size


def _tags(body: bytes) -> dict[int, int]:
    """The tags of NEEDED that the first directory has, whole numbers. Raises Unreadable."""
    order = BYTE_ORDERS.get(body[:4])
    if order is None:
        raise Unreadable("not a TIFF file, or a BigTIFF file")
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, start)
        if count > LIMIT_TAGS:
            raise Unreadable(f"it has {count} tags, want at most {LIMIT_TAGS}")
        tags: dict[int, int] = {}
        for tag, kind, values, content in struct.iter_unpack(f"{order}HHI4s", body[start + 2 : start + 2 + 12 * count]):
            if tag in NEEDED:
                if tag in tags or kind not in TYPES or values != 1:
                    raise Unreadable(f"its tag {tag} is not one whole number")
                (tags[tag],) = struct.unpack_from(order + TYPES[kind], content)
    except struct.error:
        raise Unreadable("it is cut short") from None
    return tags
