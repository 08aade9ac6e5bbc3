"""Image files that are damaged, of another format or too large are refused with the reason."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from service.errors import MalformedBody, RequestError, TooLarge, WrongMediaType, WrongValue
from tests.support.pictures import BLACK, BMP, GIF, JPEG, PNG, TIFF, WEBP, WHITE, decoded, encoded, large


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width, height):
    """A few bytes that would be a picture of any size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10_000)) + chunk(b"IEND", b"")


def animated():
    return encoded(BLACK, save_all=True, append_images=[WHITE])


@pytest.mark.parametrize(
    ("body", "media_type", "kind", "code", "message"),
    [
        (b"", PNG, MalformedBody, "empty_body", "the body is empty, want a PNG picture"),
        (
            b"hello",
            PNG,
            MalformedBody,
            "invalid_picture",
            "the body is not a readable PNG picture: not a PNG file",
        ),
        (
            b"hello",
            JPEG,
            MalformedBody,
            "invalid_picture",
            "the body is not a readable JPEG picture: not a JPEG file",
        ),
        (
            encoded(BLACK, "JPEG"),
            PNG,
            WrongMediaType,
            "mismatched_media_type",
            "Content-Type is image/png and the body is image/jpeg, want a PNG picture",
        ),
        (
            encoded(BLACK, "GIF"),
            JPEG,
            WrongMediaType,
            "mismatched_media_type",
            "Content-Type is image/jpeg and the body is image/gif, want a JPEG picture",
        ),
        (
            encoded(BLACK, "JPEG")[:-200],
            JPEG,
            MalformedBody,
            "invalid_picture",
            "the body is not a readable JPEG picture: image file is truncated (",
        ),
        (
            encoded(BLACK)[:-200],
            PNG,
            MalformedBody,
            "invalid_picture",
            "the body is not a readable PNG picture: ",
        ),
        (
            bomb(100_000, 100_000),
            PNG,
            TooLarge,
            "picture_too_large",
            "the picture has 100000 x 100000 pixels, want sides of at most 16384 pixels",
        ),
        (
            bomb(1, 1_000_000),
            PNG,
            TooLarge,
            "picture_too_large",
            "the picture has 1 x 1000000 pixels, want sides of at most 16384 pixels",
        ),
        (
            animated(),
            PNG,
            WrongValue,
            "animated_picture",
            "the picture has 2 frames, want 1: a still picture",
        ),
        (
            encoded(Image.new("L", (9, 9), 77)),
            PNG,
            WrongValue,
            "no_ink",
            "the picture has no black strokes that could be a digit, want connected lines on plain paper",
        ),
        (
            encoded(BLACK, "JPEG") + b"\xff\xda" * 64,
            JPEG,
            MalformedBody,
            "invalid_picture",
            "the body is not a readable JPEG picture: it has 65 scans, want at most 64",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_what_is_wrong_with_a_picture_is_told(body, media_type, kind, code, message):
    with pytest.raises(kind) as refused:
        decoded(body, media_type)
    assert refused.value.code == code
    assert str(refused.value).startswith(message)


EXIF = Image.Exif()
EXIF[0x0112] = 6
SMALL = large(times=2)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (encoded(SMALL, exif=EXIF), PNG),
        (encoded(SMALL, "JPEG", exif=EXIF), JPEG),
        (encoded(SMALL, "WEBP", exif=EXIF), WEBP),
        (encoded(SMALL, "WEBP", lossless=True), WEBP),
        (encoded(SMALL, "GIF", comment=b"a seven"), GIF),
        (encoded(SMALL, "BMP"), BMP),
        (encoded(SMALL, "TIFF", exif=EXIF), TIFF),
        (encoded(SMALL, "TIFF", compression="tiff_lzw"), TIFF),
        (encoded(SMALL, "TIFF", compression="tiff_adobe_deflate"), TIFF),
        (encoded(SMALL.convert("1"), "TIFF", compression="packbits"), TIFF),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_refused_or_read_and_nothing_else(body, media_type):
    rng = np.random.default_rng(0)
    head = min(200, len(body))
    for turn in range(150):
        damaged = bytearray(body)
        for place in rng.integers(8, head if turn % 2 else len(body), 3):
            damaged[place] = rng.integers(256)
        if turn % 10 == 0:
            del damaged[rng.integers(len(body)) :]
        with contextlib.suppress(RequestError):
            decoded(bytes(damaged), media_type)
