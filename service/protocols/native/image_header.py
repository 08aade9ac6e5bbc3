"""The headers of PNG and JPEG files: the size of a picture, and the limits of what a decoder has to go through.

PNG: ISO/IEC 15948; JPEG: ITU-T T.81, annex B. Untrusted input: the work is bounded whatever the bytes are.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_CHUNKS: Final = 10_000
"""Maximum number of chunks of a PNG: 16 MB in chunks of 8 KiB, as libpng writes them, are 2,000. Pillow takes 5 µs for
each."""
LIMIT_SEGMENTS: Final = 1_000
"""Maximum number of marker segments of a JPEG before its first scan; photos have up to 50."""
LIMIT_FILL_BYTES: Final = 1_000
"""Maximum number of fill bytes before a marker segment, which Pillow reads one by one; encoders write none."""
LIMIT_SCANS: Final = 64
"""Maximum number of scans of a progressive JPEG; encoders write about ten."""
LIMIT_SCANNED_PIXELS: Final = 250_000_000
"""Maximum number of pixels times scans of a JPEG, ten scans of the largest picture: each goes through all pixels."""
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
START_OF_IMAGE: Final = b"\xff\xd8"
START_OF_SCAN: Final = b"\xff\xda"
FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The second bytes of markers that begin a frame (SOF): its segment has the size of the picture."""
ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""The second bytes of markers without a segment."""
METADATA: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
"""The second bytes of markers of application data and comments (APPn, COM)."""
NEEDED: Final = {0xE1: b"Exif\0\0", 0xEE: b"Adobe"}
"""Application data that are kept, by their beginning: the orientation, and the colours."""
LEAST_NEEDED_BYTES: Final = 12
"""Shorter ones have no orientation, and do not say what the colours are."""
NEEDED_CHUNKS: Final = frozenset((b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"))
"""Ancillary chunks that are kept: transparency, orientation, and those of an animation."""
FILL: Final = re.compile(rb"\xff*")


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


class Unreadable(Exception):
    """The header is damaged, cut short, or over a limit; the message says how."""


def png_size(body: bytes) -> Size:
    """The size of the picture in a PNG file. Raises Unreadable."""
    if not body.startswith(SIGNATURE) or body[12:16] != b"IHDR" or len(body) < 24:
        raise Unreadable("not a PNG file")
    return Size(*struct.unpack(">II", body[16:24]))


def jpeg_size(body: bytes) -> Size:
    """The size of the picture in a JPEG file. Raises Unreadable."""
    if not body.startswith(START_OF_IMAGE):
        raise Unreadable("not a JPEG file")
    for marker, start, _ in _segments(body):
        if marker in FRAMES and start + 9 <= len(body):
            height, width = struct.unpack(">HH", body[start + 5 : start + 9])
            return Size(width, height)
    raise Unreadable("its size is not found")


def essential_png(body: bytes) -> bytes:
    """A PNG file without the chunks that its pixels do not need. Raises Unreadable for too many chunks."""
    kept, offset, cut = [body[: len(SIGNATURE)]], len(SIGNATURE), False
    for _ in range(LIMIT_CHUNKS + 1):
        if offset + 8 > len(body):
            return b"".join(kept) if cut else body
        end = offset + 12 + int.from_bytes(body[offset : offset + 4], "big")
        kind, chunk = body[offset + 4 : offset + 8], body[offset:end]
        critical = kind[:1].isupper()
        if critical or (kind in NEEDED_CHUNKS and zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]):
            kept.append(chunk)
        else:
            cut = True
        offset = end
    raise Unreadable(f"it has more than {LIMIT_CHUNKS} chunks, want at most {LIMIT_CHUNKS}")


def essential_jpeg(body: bytes, size: Size) -> bytes:
    """A JPEG file without the segments that its pixels do not need. Raises Unreadable for too many scans, or none."""
    kept = [START_OF_IMAGE]
    for marker, start, end in _segments(body):
        content = body[start + 4 : end]
        if marker == START_OF_SCAN[1]:
            scans = body.count(START_OF_SCAN, start)
            limit = min(LIMIT_SCANS, LIMIT_SCANNED_PIXELS // max(size.pixels, 1))
            if scans > limit:
                raise Unreadable(f"it has {scans} scans, want at most {limit} for a picture of its size")
            return b"".join([*kept, body[start:]])
        needed = marker in NEEDED and content.startswith(NEEDED[marker]) and len(content) >= LEAST_NEEDED_BYTES
        if needed or marker not in METADATA:
            kept.append(body[start:end])
    raise Unreadable("its first scan is not found")


def _segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker segments of a JPEG, to its first scan or to damage: second byte of the marker, start, and end."""
    offset = len(START_OF_IMAGE)
    for _ in range(LIMIT_SEGMENTS):
        fill = FILL.match(body, offset, offset + LIMIT_FILL_BYTES + 1)
        offset = fill.end() if fill and fill.group() else len(body)
        if offset >= len(body) or body[offset] == 0xFF:
            return
        marker, start = body[offset], offset - 1
        offset += 1
        if marker not in ALONE:
            offset += int.from_bytes(body[offset : offset + 2], "big")
        yield marker, start, offset
        if marker == START_OF_SCAN[1]:
            return
