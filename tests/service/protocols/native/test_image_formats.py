"""WebP, GIF, BMP and TIFF files: read as PNG is, the first frame only; their limits; HEIC and AVIF are refused."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import GifImagePlugin, Image, TiffImagePlugin

from service.errors import MalformedBody, TooLarge, WrongMediaType
from service.http.offload import LARGE_PICTURES
from service.protocols.native.gif_header import LIMIT_BLOCKS
from service.protocols.native.image_file import FORMATS, open_image
from tests.support.pictures import BLACK, BMP, GIF, JPEG, PNG, TIFF, WEBP, WHITE, decoded, encoded, off
from training.picture import prepare

LIMIT = 25_000_000
OTHERS = {WEBP: "WEBP", GIF: "GIF", BMP: "BMP", TIFF: "TIFF"}


def nothing_in(ink):
    """Strokes of a colour on nothing."""
    picture = Image.new("RGBA", WHITE.size, ink)
    picture.putalpha(WHITE)
    return picture


@pytest.mark.parametrize(
    ("picture", "media_type", "options"),
    [
        (BLACK, WEBP, {"lossless": True}),
        (nothing_in("black"), WEBP, {"lossless": True}),
        (BLACK, GIF, {}),
        (BLACK, GIF, {"interlace": 1, "comment": b"a five" * 1000}),
        (BLACK.convert("RGB").quantize(256), GIF, {}),
        (BLACK, BMP, {}),
        (BLACK.convert("RGB"), BMP, {}),
        (BLACK.convert("RGBA"), BMP, {}),
        (BLACK.convert("P"), BMP, {}),
        *(
            (BLACK, TIFF, {"compression": compression})
            for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
        ),
        (BLACK.convert("RGB"), TIFF, {"compression": "tiff_lzw"}),
        (BLACK.convert("P"), TIFF, {}),
        (nothing_in("black"), TIFF, {}),
        (Image.fromarray(np.asarray(BLACK).astype(np.uint16) * 257), TIFF, {}),
        (BLACK, TIFF, {"tiffinfo": {322: 64, 323: 48}, "compression": "tiff_lzw"}),
    ],
)
def test_a_picture_is_the_same_in_every_format(picture, media_type, options):
    body = encoded(picture, OTHERS[media_type], **options)
    assert np.abs(decoded(body, media_type).astype(int) - prepare(BLACK)).max() <= 2


def test_a_tiff_may_have_16_bits_of_which_0_is_white():
    """Pillow turns such levels around only where they have 8 bits."""
    body = encoded(Image.fromarray(65_535 - np.asarray(BLACK).astype(np.uint16) * 257), "TIFF")
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, meaning, 0) for meaning in (1, 0))
    assert body.count(black_is_zero) == 1
    found = decoded(body.replace(black_is_zero, white_is_zero), TIFF, ink="black")
    assert np.abs(found.astype(int) - prepare(BLACK)).max() <= 2


def test_lossy_and_two_coloured_pictures_are_nearly_the_same():
    assert off(decoded(encoded(BLACK, "WEBP", quality=90), WEBP)) < 3
    two = BLACK.convert("1", dither=Image.Dither.NONE)
    for media_type, options in ((BMP, {}), (TIFF, {}), (TIFF, {"compression": "packbits"})):
        assert off(decoded(encoded(two, OTHERS[media_type], **options), media_type)) < 8


def test_the_colour_that_stands_for_nothing_in_a_gif_is_paper():
    body = encoded(BLACK, "GIF", transparency=255)
    assert b"!\xf9" in body, "the block that says so"
    assert np.array_equal(decoded(body, GIF), prepare(BLACK))


@pytest.mark.parametrize("media_type", [WEBP, TIFF])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_picture_is_turned_upright_as_its_exif_says(media_type, orientation):
    undone = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    wide = BLACK.crop((0, 20, *BLACK.size))  # width and height differ
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = encoded(wide.transpose(undone[orientation]), OTHERS[media_type], exif=exif, lossless=True)
    assert np.array_equal(decoded(body, media_type), prepare(wide))


def test_rows_of_a_bmp_may_run_from_top_to_bottom():
    body = bytearray(encoded(BLACK.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "BMP"))
    body[22:26] = struct.pack("<i", -BLACK.height)
    assert np.array_equal(decoded(bytes(body), BMP), prepare(BLACK))


@pytest.mark.parametrize("media_type", [WEBP, GIF, TIFF])
def test_of_several_frames_only_the_first_one_is_looked_at(media_type, monkeypatch):
    """Pillow counts the frames of GIF and TIFF files by going through all of them: seconds for a million."""

    def fail(_):
        raise AssertionError("the frames are counted")

    for reader in (GifImagePlugin.GifImageFile, TiffImagePlugin.TiffImageFile):
        monkeypatch.setattr(reader, "n_frames", property(fail))
        monkeypatch.setattr(reader, "is_animated", property(fail, lambda *_: None), raising=False)
    options = {"lossless": True} if media_type == WEBP else {}
    several = encoded(BLACK, OTHERS[media_type], save_all=True, append_images=[WHITE], **options)
    monkeypatch.undo()
    one = encoded(BLACK, OTHERS[media_type], **options)
    assert len(several) > len(one)
    assert np.array_equal(decoded(several, media_type), decoded(one, media_type))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_strips_of_a_tiff_are_decoded_by_libtiff_and_not_one_by_one_in_python(compression, monkeypatch):
    """A file may name millions of uncompressed strips, all at the same place."""
    used, getdecoder = [], Image._getdecoder
    body = encoded(BLACK, "TIFF", compression=compression)
    monkeypatch.setattr(Image, "_getdecoder", lambda mode, name, *of: used.append(name) or getdecoder(mode, name, *of))
    decoded(body, TIFF)
    assert used[0] == "libtiff"


@pytest.mark.parametrize(
    ("picture", "media_type", "options"),
    [
        *((picture, kind, {}) for picture in (BLACK, BLACK.crop((0, 0, 300, 77))) for kind in (GIF, BMP, TIFF)),
        (BLACK, WEBP, {}),
        (BLACK, WEBP, {"lossless": True}),
        (nothing_in("black"), WEBP, {}),
        (BLACK.crop((0, 0, 300, 77)), WEBP, {"save_all": True, "append_images": [BLACK.crop((0, 0, 300, 77))]}),
    ],
)
def test_the_size_is_told_from_the_header(picture, media_type, options):
    body = encoded(picture, OTHERS[media_type], **options)
    assert open_image(body, media_type, LIMIT).size == picture.size


def first_frame(left, top, width, height, screen=(10, 10)):
    """A GIF whose first frame may be larger than its screen."""
    return struct.pack("<6sHHBBBcHHHHB", b"GIF89a", *screen, 0, 0, 0, b",", left, top, width, height, 0) + b"\x02\0;"


def tiff(tags, order="<", count=None):
    """A TIFF file of nothing but a directory."""
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(order + ("H2x" if kind == 3 else "I"), value)
        for tag, kind, value in tags
    )
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags) if count is None else count) + entries


def bmp(width, height, compression=0, header=40):
    return b"BM" + bytes(12) + struct.pack("<IiiHHI", header, width, height, 1, 8, compression) + bytes(20)


def webp(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


SIZE = [(256, 4, 100), (257, 3, 100)]


@pytest.mark.parametrize(
    ("body", "media_type", "found"),
    [
        (webp(5000, 5001), WEBP, "5000 x 5001 pixels, want at most 6250000 pixels in WebP"),
        (webp(2**24, 1), WEBP, "16777216 x 1 pixels, want sides of at most 16384 pixels"),
        (first_frame(0, 0, 8000, 8000), GIF, "8000 x 8000 pixels, want at most 25000000 pixels"),
        (first_frame(65000, 0, 1, 1), GIF, "65001 x 10 pixels, want sides of at most 16384 pixels"),
        (first_frame(0, 0, 1, 1, screen=(8000, 8000)), GIF, "8000 x 8000 pixels, want at most 25000000 pixels"),
        (bmp(8000, -8000), BMP, "8000 x 8000 pixels, want at most 25000000 pixels"),
        (bmp(1, -(2**31)), BMP, "1 x 2147483648 pixels, want sides of at most 16384 pixels"),
        (tiff([(256, 4, 5000), (257, 4, 4000)]), TIFF, "5000 x 4000 pixels, want at most 12500000 pixels in TIFF"),
        (tiff([(256, 4, 2**31), (257, 4, 1)], ">"), TIFF, "2147483648 x 1 pixels, want sides of at most 16384 pixels"),
    ],
)
def test_a_picture_over_the_limit_is_refused_by_its_header(body, media_type, found):
    with pytest.raises(TooLarge) as refused:
        open_image(body, media_type, LIMIT)
    assert str(refused.value) == f"the picture has {found}"


TILED = [*SIZE, (322, 4, 2**16), (323, 4, 2**16)]


@pytest.mark.parametrize(
    ("body", "media_type", "found"),
    [
        (webp(9, 9)[:29], WEBP, "not a WebP file"),
        (webp(9, 9).replace(b"VP8X", b"VP8Y"), WEBP, "its size is not found"),
        (webp(9, 9), WEBP, "could not create decoder object"),
        (b"GIF89a", GIF, "it is cut short"),
        (b"GIF80a" + bytes(50), GIF, "not a GIF file"),
        (b"GIF89a" + bytes(7) + b";", GIF, "it has no picture"),
        (first_frame(0, 0, 9, 9)[:18], GIF, "it is cut short"),
        (
            b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * LIMIT_BLOCKS + b"\0" + first_frame(0, 0, 9, 9)[13:],
            GIF,
            f"it has more than {LIMIT_BLOCKS} blocks before its picture, want at most {LIMIT_BLOCKS}",
        ),
        (
            b"GIF89a" + bytes(7) + b"!\xfe\0" * LIMIT_BLOCKS + first_frame(0, 0, 9, 9)[13:],
            GIF,
            f"it has more than {LIMIT_BLOCKS} blocks before its picture, want at most {LIMIT_BLOCKS}",
        ),
        (b"BM", BMP, "it is cut short"),
        (bmp(9, 9, header=2**31), BMP, f"its header has {2**31} bytes"),
        (bmp(9, 9, compression=1), BMP, "its compression is 1, want none"),
        (bmp(-9, 9), BMP, "its width is -9"),
        (bmp(9, 9), BMP, "image file is truncated (0 bytes not processed)"),
        (b"II*\0", TIFF, "it is cut short"),
        (b"II+\0" + bytes(50), TIFF, "not a TIFF file, or a BigTIFF file"),
        (tiff(SIZE)[:-1], TIFF, "it is cut short"),
        (tiff(SIZE, count=1001), TIFF, "it has 1001 tags, want at most 1000"),
        (tiff(SIZE[:1]), TIFF, "its size is not found"),
        (tiff([*SIZE, SIZE[0]]), TIFF, "its tag 256 is not one whole number"),
        (tiff([(256, 16, 100), SIZE[1]]), TIFF, "its tag 256 is not one whole number"),
        (
            tiff([*SIZE, (259, 3, 34925)]),
            TIFF,
            "its compression is 34925, want one of none, LZW, Deflate, PackBits",
        ),
        (tiff([*SIZE, (259, 3, 4)]), TIFF, "its compression is 4, want one of none, LZW, Deflate, PackBits"),
        (tiff([*SIZE, (259, 3, 7)]), TIFF, "its compression is 7, want one of none, LZW, Deflate, PackBits"),
        (
            tiff(TILED),
            TIFF,
            "its tiles have 65536 x 65536 pixels, want multiples of 16, at most 4194304 pixels",
        ),
        (tiff(TILED[:3]), TIFF, "its tiles have 65536 x 0 pixels, want multiples of 16, at most 4194304 pixels"),
        (
            tiff([*SIZE, (322, 3, 1), (323, 3, 1)]),
            TIFF,
            "its tiles have 1 x 1 pixels, want multiples of 16, at most 4194304 pixels",
        ),
        (tiff(SIZE), TIFF, ""),
        (encoded(Image.new("F", (9, 9)), "TIFF"), TIFF, "it has 32 bits for a pixel, want 8 or 16"),
    ],
)
def test_a_file_that_is_damaged_or_takes_too_much_is_refused_with_the_reason(body, media_type, found):
    with pytest.raises(MalformedBody) as refused:
        decoded(body, media_type, limit_pixels=LIMIT)
    assert refused.value.code == "invalid_picture"
    assert refused.value.found.startswith(found)


@pytest.mark.parametrize("media_type", [*OTHERS])
def test_a_file_that_is_cut_short_is_refused(media_type):
    body = encoded(BLACK, OTHERS[media_type])
    with pytest.raises(MalformedBody, match=f"the body is not a readable {FORMATS[media_type].name} picture: "):
        decoded(body[: len(body) // 2], media_type)


@pytest.mark.parametrize(
    ("begins", "found"),
    [
        *((b"\0\0\0\x18ftyp" + brand, "image/heic") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
        *((b"\0\0\0\x18ftyp" + brand, "image/avif") for brand in (b"avif", b"avis")),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
@pytest.mark.parametrize("media_type", [JPEG, PNG])
def test_a_photo_in_a_format_that_is_not_read_is_refused_with_what_to_do(begins, found, media_type):
    """A photo of a telephone is often HEIC, whatever the ending of its name says."""
    with pytest.raises(WrongMediaType) as refused:
        open_image(begins + bytes(100), media_type, LIMIT)
    name = FORMATS[media_type].name
    assert str(refused.value) == (
        f"Content-Type is {media_type} and the body is {found}, want a {name} picture: save it as JPEG or PNG"
    )


@pytest.mark.parametrize("media_type", [*OTHERS])
def test_a_file_of_another_format_than_its_media_type_says_is_refused(media_type):
    with pytest.raises(WrongMediaType) as refused:
        decoded(encoded(BLACK, OTHERS[media_type]), PNG)
    assert str(refused.value) == f"Content-Type is image/png and the body is {media_type}, want a PNG picture"


def test_webp_files_are_prepared_one_at_a_time_whatever_their_size():
    """Tables of codes may take hundreds of megabytes for a small picture."""
    assert open_image(webp(9, 9), WEBP, LIMIT).kind == LARGE_PICTURES


LARGE = """
import sys
from pathlib import Path
from service.protocols.native.image_file import decode_image, open_image

def megabytes(what):
    return int(Path("/proc/self/status").read_text().partition(what)[2].split()[0]) // 1024

def decode(path, media_type):
    decode_image(open_image(Path(path).read_bytes(), media_type, 25_000_000), None)

_, media_type, small, large = sys.argv
decode(small, media_type)
before = megabytes("VmRSS:")
for _ in range(3):
    decode(large, media_type)
print(megabytes("VmHWM:") - before, megabytes("VmRSS:") - before)
"""
"""Prints by how much a process grows at most, and how much it keeps, when it decodes a large picture three times."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how large a process was")
@pytest.mark.parametrize(
    ("media_type", "side", "options"),
    [(WEBP, 2500, {"lossless": True, "method": 0}), (TIFF, 3500, {"compression": "tiff_lzw"})],
)
def test_the_largest_picture_takes_no_more_memory_than_a_png(tmp_path, media_type, side, options):
    large = Image.new("RGBA", (side, side), "white")
    large.paste("black", (side // 2, side // 5, side // 2 + 100, side // 5 * 4))
    if media_type == TIFF:
        options = {**options, "strip_size": 2**26}  # all in one piece, which is in memory beside the picture
    for name, picture in (("small", BLACK.convert("RGBA")), ("large", large)):
        picture.save(tmp_path / name, OTHERS[media_type], **options)
    paths = [tmp_path / "small", tmp_path / "large"]
    told = subprocess.run([sys.executable, "-c", LARGE, media_type, *paths], capture_output=True, text=True, check=True)
    most, kept = map(int, told.stdout.split())
    assert most < 250
    assert kept < 150
