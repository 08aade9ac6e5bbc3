"""Decoding PNG and JPEG files of every kind: rotated, transparent, large."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.errors import WrongValue
from tests.support.pictures import BLACK, JPEG, PNG, WHITE, decoded, encoded, large, off
from training.picture import prepare


def transparent(ink):
    """Strokes of a colour on nothing."""
    picture = Image.new("RGBA", WHITE.size, ink)
    picture.putalpha(WHITE)
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        BLACK,
        BLACK.convert("RGB"),
        BLACK.convert("P"),
        BLACK.convert("RGB").quantize(256),
        transparent("black"),
        transparent("black").convert("LA"),
        Image.fromarray(np.asarray(BLACK).astype(np.uint16) * 257),
    ],
    ids=["grey", "RGB", "palette", "RGB palette", "RGBA", "grey and alpha", "16 bits"],
)
def test_png_of_every_kind_is_the_same_picture(picture):
    assert np.abs(decoded(encoded(picture)).astype(int) - prepare(BLACK)).max() <= 2


@pytest.mark.parametrize(("ink", "nothing"), [("black", 30_000), ("white", 30_000), ("white", 65_535)])
def test_the_level_of_16_bits_that_stands_for_nothing_is_paper(ink, nothing):
    deep = np.asarray(BLACK).astype(np.uint16) * 257
    deep = np.where(deep == 65_535, nothing, deep if ink == "black" else 65_534 - deep).astype(np.uint16)
    body = encoded(Image.fromarray(deep), transparency=nothing)
    assert np.abs(decoded(body, ink=ink).astype(int) - prepare(BLACK)).max() <= 2


def test_png_of_one_bit():
    assert off(decoded(encoded(BLACK.convert("1", dither=Image.Dither.NONE)))) < 8


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_every_kind_is_nearly_the_same_picture(mode):
    assert off(decoded(encoded(BLACK.convert(mode), "JPEG", quality=90), JPEG)) < 3


@pytest.mark.parametrize("version", [100, 101])
def test_a_jpeg_of_red_green_and_blue_is_told_by_its_adobe_segment(version):
    """Without the segment, red on white would be taken for luminance and chrominance: 101 once was no version."""
    red = Image.merge("RGB", (Image.new("L", BLACK.size, 255), BLACK, BLACK))
    body = encoded(red, "JPEG", keep_rgb=True, quality=95)
    for before, after in (  # components that are named R, G and B would tell, too
        (b"R\x11\0G\x11\0B\x11\0", b"\1\x11\0\2\x11\0\3\x11\0"),
        (b"\3R\0G\0B\0", b"\3\1\0\2\0\3\0"),
        (b"Adobe\0\x64", b"Adobe\0" + bytes([version])),
    ):
        assert body.count(before) == 1
        body = body.replace(before, after)
    assert off(decoded(body, JPEG)) < 3


@pytest.mark.parametrize("ink", [None, "white"])
def test_white_strokes_on_nothing_are_on_black_paper(ink):
    assert np.array_equal(decoded(encoded(transparent("white")), ink=ink), prepare(WHITE))


@pytest.mark.parametrize("level", [254, 235])
def test_strokes_on_nothing_that_are_nearly_white_are_on_black_paper(level):
    """They once were no ink: only 255 was white."""
    assert off(decoded(encoded(transparent((level,) * 3)))) < 3


def test_white_strokes_on_nothing_are_no_black_ones():
    with pytest.raises(WrongValue, match="no black strokes"):
        decoded(encoded(transparent("white")), ink="black")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_as_its_exif_says(orientation):
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose: what the camera did to it
    stored = BLACK.transpose(Image.Transpose(undone[orientation])) if orientation > 1 else BLACK
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form, media_type in (("JPEG", JPEG), ("PNG", PNG)):
        assert off(decoded(encoded(stored, form, exif=exif), media_type)) < 3


def test_a_large_jpeg_is_decoded_no_finer_than_is_looked_at():
    body = encoded(large(times=100, ink="black"), "JPEG")
    assert off(decoded(body, JPEG, limit_pixels=10**7)) < 3


LARGE = """
import asyncio, sys
from pathlib import Path
from service.http.offload import Offload
from service.protocols.native.image_file import decode_image, open_image

def megabytes(what):
    return int(Path("/proc/self/status").read_text().partition(what)[2].split()[0]) // 1024

async def main(small, large):
    offload = Offload()

    async def decode(path):
        file = open_image(Path(path).read_bytes(), "image/png", 25_000_000)
        await offload.run(file.kind, lambda: decode_image(file, None), len(file.body))

    await decode(small)
    before = megabytes("VmRSS:")
    await asyncio.gather(*(decode(large) for _ in range(3)))
    print(megabytes("VmHWM:") - before, megabytes("VmRSS:") - before)

asyncio.run(main(*sys.argv[1:]))
"""
"""Prints by how much a process grows at most, and how much it keeps, when it decodes three large pictures at once."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how large a process was")
def test_a_picture_that_takes_100_mb_takes_little_more_and_gives_it_back(tmp_path):
    """Whole copies in other colours, and what threads kept of them, came to 750 MB, and a pod has 1 GB for all."""
    large = Image.new("RGBA", (5000, 5000))
    ImageDraw.Draw(large).line([(1500, 1000), (3500, 1000), (2500, 4200)], "black", 400)
    paths = [tmp_path / "small.png", tmp_path / "large.png"]
    for path, picture in zip(paths, (BLACK, large), strict=True):
        picture.save(path, compress_level=1)
    told = subprocess.run([sys.executable, "-c", LARGE, *paths], capture_output=True, text=True, check=True)
    most, kept = map(int, told.stdout.split())
    assert most < 400
    assert kept < 220
