"""Limits of PNG and JPEG files: what a decoder would have to go through; and damage that is not the picture's."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from service.errors import MalformedBody, TooLarge, WrongValue
from service.http.offload import LARGE_PICTURES, SMALL_PICTURES
from service.protocols.native.image_file import open_image
from tests.support.pictures import BLACK, JPEG, PNG, decoded, encoded

SOS = b"\xff\xda"
PROGRESSIVE = encoded(BLACK, "JPEG", progressive=True)


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(chunks, png=None):
    """A PNG with further chunks behind its header."""
    png = png or encoded(BLACK)
    return png[:33] + chunks + png[33:]


def header(width, height):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@pytest.mark.parametrize(
    "damage",
    [
        chunk(b"eXIf", b"garbage!"),
        chunk(b"eXIf", b"II+\0\x08\0\0\0"),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n   4\nzzzz"),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08")[:-1] + b"!",
        chunk(b"tEXt", b"a\0b")[:-1] + b"!",
        chunk(b"iCCP", b"icc\0\1zzzz"),
        chunk(b"zTXt", b"k\0\1zzzz"),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b"\0"),
        chunk(b"cHRM", b"\0"),
    ],
)
def test_metadata_of_a_png_that_cannot_be_read_are_ignored(damage):
    """They once were a 500 with a traceback."""
    assert np.array_equal(decoded(with_chunks(damage)), decoded(encoded(BLACK)))


@pytest.mark.parametrize(
    "exif", [b"garbage", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_exif_data_of_a_jpeg_that_cannot_be_read_are_ignored(exif):
    assert np.array_equal(decoded(with_segment(0xE1, exif), JPEG), decoded(encoded(BLACK, "JPEG"), JPEG))


def with_segment(kind, content):
    plain = encoded(BLACK, "JPEG")
    return plain[:2] + bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content + plain[2:]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (0xE0, b"JFIF"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xED, b"Photoshop 3.0\0"),
        (0xEE, b"Adobe"),
        (0xE2, b"MPF\0zz"),
        (0xFE, b""),
    ],
)
def test_other_metadata_of_a_jpeg_that_cannot_be_read_are_ignored(kind, content):
    assert np.array_equal(decoded(with_segment(kind, content), JPEG), decoded(encoded(BLACK, "JPEG"), JPEG))


def test_scans_of_a_thumbnail_do_not_count():
    decoded(with_segment(0xE1, b"Exif\0\0" + SOS * 100), JPEG)


@pytest.mark.parametrize("size", [(8, 16384), (16384, 8), (1, 9000)])
def test_a_picture_that_is_one_narrow_strip_is_read_or_shows_nothing(size):
    """Scaled down, its shorter side once had no pixel: division by zero."""
    picture = Image.new("L", size, 255)
    picture.paste(0, (0, 0, max(size[0] // 2, 1), max(size[1] // 3, 1)))
    for form, media_type in (("JPEG", JPEG), ("PNG", PNG)):
        with suppress(WrongValue):
            decoded(encoded(picture, form), media_type)


def refused(body, media_type=PNG):
    with pytest.raises(MalformedBody) as caught:
        decoded(body, media_type, limit_pixels=25_000_000)
    assert caught.value.code == "invalid_picture"
    return caught.value.found


def test_chunks_of_a_png_are_counted():
    """15 MB of empty chunks once took seconds."""
    assert np.array_equal(decoded(with_chunks(chunk(b"abCd") * 9000)), decoded(encoded(BLACK)))
    room = 10_000 - len([*chunks_of(encoded(BLACK))])
    decoded(with_chunks(chunk(b"abCd") * room))
    assert refused(with_chunks(chunk(b"abCd") * (room + 1))) == "it has more than 10000 chunks, want at most 10000"


def chunks_of(png):
    """The kinds of a PNG's chunks."""
    offset = 8
    while offset < len(png):
        yield png[offset + 4 : offset + 8]
        offset += 12 + int.from_bytes(png[offset : offset + 4], "big")


def scans(count):
    """A progressive JPEG of so many scans: its last one again and again."""
    last = PROGRESSIVE[PROGRESSIVE.rindex(SOS) : -2]
    return PROGRESSIVE[:-2] + last * (count - PROGRESSIVE.count(SOS)) + PROGRESSIVE[-2:]


def test_scans_of_a_jpeg_are_counted_by_its_size():
    decoded(scans(64), JPEG)
    assert refused(scans(65), JPEG) == "it has 65 scans, want at most 64 for a picture of its size"
    large = Image.new("L", (5000, 4000), 255)
    large.paste(0, (2000, 500, 2500, 3500))
    body = encoded(large, "JPEG", progressive=True)
    last = body[body.rindex(SOS) : -2]
    many = body[:-2] + last * 20 + body[-2:]
    assert refused(many, JPEG).endswith(" scans, want at most 12 for a picture of its size")


@pytest.mark.parametrize("before", [b"\xff\xfe\0\2" * 1000, b"\xff" * 1500], ids=["comments", "fill bytes"])
def test_scans_that_begin_after_too_much_else_are_not_decoded(before):
    """They once were, any number of them: they had not been counted."""
    body = scans(206)
    first = body.index(SOS)
    assert refused(body[:first] + before + body[first:], JPEG) == "its first scan is not found"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8" + b"\xff" * 10**6 + encoded(BLACK, "JPEG")[2:],
        b"\xff\xd8" + b"\xff\x01" * 10**6 + encoded(BLACK, "JPEG")[2:],
        b"\xff\xd8" + b"\xff\xfe\0\x02" * 10**6 + encoded(BLACK, "JPEG")[2:],
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8" + SOS + encoded(BLACK, "JPEG")[2:],
    ],
    ids=["fill bytes", "markers", "comments", "cut short", "a scan first"],
)
def test_a_jpeg_whose_size_is_not_near_its_beginning_is_refused(body):
    assert refused(body, JPEG) == "its size is not found"


def test_a_jpeg_with_a_long_tail_is_read_once():
    """Pillow copies what is not decoded yet with every block: 16 MB once took a second."""
    body = encoded(BLACK, "JPEG")
    assert np.array_equal(decoded(body[:-2] + b"\xff" * 4_000_000 + body[-2:], JPEG), decoded(body, JPEG))


def test_a_file_with_two_sizes_is_refused():
    body = encoded(BLACK, "JPEG")
    start = next(body.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC1, 0xC2) if bytes([0xFF, kind]) in body)
    length = int.from_bytes(body[start + 2 : start + 4], "big")
    frame = bytearray(body[start : start + 2 + length])
    frame[5:9] = struct.pack(">HH", 16, 16)
    assert refused(body[:start] + bytes(frame) + body[start:], JPEG)


@pytest.mark.parametrize(
    ("size", "length", "kind"),
    [((1000, 1000), 0, SMALL_PICTURES), ((5000, 4000), 0, LARGE_PICTURES), ((10, 10), 3 * 2**20, LARGE_PICTURES)],
)
def test_large_pictures_wait_for_large_ones_only(size, length, kind):
    assert open_image(header(*size) + bytes(length), PNG, 25_000_000).kind == kind


def test_a_picture_over_the_limit_is_refused_by_its_header():
    with pytest.raises(TooLarge, match="the picture has 5001 x 5000 pixels, want at most 25000000 pixels"):
        open_image(header(5001, 5000), PNG, 25_000_000)
    with pytest.raises(TooLarge, match="want sides of at most 16384 pixels"):
        open_image(header(16385, 1), PNG, 25_000_000)
