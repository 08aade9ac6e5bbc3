"""Pictures of any size and colours become what MNIST would have made of them; bodies that are none are told why."""

import asyncio
import contextlib
import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from service.batching import DeadlineExceeded
from service.errors import MalformedBody, NotReady, RequestError, TooLarge, WrongMediaType, WrongValue
from service.picture import Pictures, decode_picture
from tests.problem import problem
from tests.service_fakes import FakePredictor, app_with, client_of
from training import mnist
from training.enlarged import rendered_digits, uci_digits
from training.picture import NoInk, levels, polarity, prepare

PNG, JPEG = "image/png", "image/jpeg"
TRAIN = mnist.train()


def encoded(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def large(row=0, times=10, room=30, ink="white", how=Image.Resampling.NEAREST):
    """A digit of MNIST enlarged, on paper with some room to the left and at the top."""
    side = 28 * times
    picture = Image.new("L", (side + room, side + room))
    picture.paste(Image.fromarray(TRAIN.images[row]).resize((side, side), how), (room, room))
    return picture if ink == "white" else picture.point(lambda level: 255 - level)


def photo(row=0, noise=4.0):
    """A digit as a phone would see it: small, on grey paper in uneven light, with a hard shadow, blurred, noisy."""
    rng = np.random.default_rng(row)
    ink = np.zeros((480, 640), np.float32)
    ink[150:374, 200:424] = np.asarray(large(row, 8, 0, how=Image.Resampling.BICUBIC), np.float32) / 255
    light = 190 + np.linspace(-50, 40, 640) + np.linspace(-20, 20, 480)[:, None]
    light[:, 330:] *= 0.7
    seen = light * (1 - 0.75 * ink) + rng.normal(0, noise, ink.shape)
    return Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


def decoded(body, media_type=PNG, ink=None, limit_pixels=10**6):
    images, many = decode_picture(body, media_type, ink, limit_pixels=limit_pixels)
    assert images.shape == (1, 28, 28)
    assert not many
    return images[0]


def off(image, row=0):
    """The mean difference from MNIST's own picture, in grey levels of 255."""
    return np.abs(image.astype(int) - TRAIN.images[row]).mean()


# Preparation


@pytest.mark.parametrize("ink", ["white", "black"])
@pytest.mark.parametrize("times", [1, 4, 13, 20])
def test_a_digit_of_mnist_made_large_and_shifted_comes_back_as_it_was(times, ink):
    assert [off(prepare(large(row, times, 7, ink)), row) for row in range(20)] == pytest.approx([0] * 20, abs=1)


@pytest.mark.parametrize("how", ["BILINEAR", "BICUBIC", "LANCZOS"])
def test_nearly_so_when_it_was_enlarged_smoothly(how):
    found = [off(prepare(large(row, 9, 11, how=Image.Resampling[how])), row) for row in range(60)]
    assert np.median(found) < 8  # MNIST's mean is 33; a few are a pixel off, which is a rounded centre of mass


def test_the_ink_fills_20_x_20_and_has_its_centre_of_mass_in_the_middle():
    for row in range(20):
        image = prepare(large(row, 7, 40, "black", Image.Resampling.BICUBIC)).astype(float)
        strong = np.argwhere(image > 100)
        assert 19 <= np.ptp(strong, axis=0).max() + 1 <= 20
        centre = [np.arange(28) @ image.sum(1 - axis) / image.sum() for axis in (0, 1)]
        assert centre == pytest.approx([14, 14], abs=0.51)


def test_the_border_says_what_is_paper_unless_somebody_else_does():
    assert polarity(levels(large(ink="white"))) == "white"
    assert polarity(levels(large(ink="black"))) == "black"
    turned = large(row=1, ink="black")  # a zero: within it is paper, around it is paper, and that would be the ink
    with contextlib.suppress(NoInk):
        assert off(prepare(turned, "white"), 1) > 20


def test_a_photo_with_a_shadow_and_noise_comes_out_as_the_digit_alone_does():
    clean = [prepare(large(row, 8, 0, how=Image.Resampling.BICUBIC)).astype(int) for row in range(20)]
    for row in range(20):
        seen = prepare(photo(row))
        shifted = [np.roll(seen, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]  # a centre of mass is rounded
        assert min(np.abs(image - clean[row]).mean() for image in shifted) < 10  # MNIST's mean is 33


def test_specks_are_no_ink_and_neither_is_what_reaches_in_from_beyond_the_edge():
    wanted = prepare(large(room=60, ink="black"))
    picture = large(room=60, ink="black")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 24, 24), fill=0)
    draw.rectangle((0, 200, 12, 339), fill=30)  # the rim of the table
    assert np.abs(prepare(picture).astype(int) - wanted).mean() < 0.5


def test_a_line_of_one_pixel_is_drawn_with_a_pen_that_mnist_has():
    picture = Image.new("L", (600, 600), 255)
    ImageDraw.Draw(picture).line([(200, 100), (400, 100), (280, 500)], fill=0)
    image = prepare(picture)
    assert 1.2 < (image / 255).sum() / 30.5 < 2  # ink for each pixel of its length: 10 + 20 / cos(17 degrees)


def test_a_blot_has_no_strokes_and_a_ring_has():
    for draw_blot in ("ellipse", "rectangle"):
        for room in (4, 30, 200):
            picture = Image.new("L", (300, 300), 255)
            getattr(ImageDraw.Draw(picture), draw_blot)((40, 40, 40 + room, 40 + room), fill=0)
            with pytest.raises(NoInk):
                prepare(picture)
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).ellipse((40, 40, 240, 240), outline=0, width=40)
    assert prepare(picture).any()
    ImageDraw.Draw(picture).rectangle((0, 0, 300, 300), fill=255)
    ImageDraw.Draw(picture).rectangle((140, 40, 170, 240), fill=0)  # a one
    assert prepare(picture).any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_has_no_ink(level):
    for picture in (Image.new("L", (300, 200), level), Image.new("L", (1, 1), level)):
        with pytest.raises(
            NoInk, match=r"^the picture is all one colour or has no (black|white) strokes, want a digit on it$"
        ):
            prepare(picture)


def test_neither_has_the_photo_of_a_sheet_of_paper():
    rng = np.random.default_rng(0)
    light = 200 + np.linspace(-40, 40, 640) + rng.normal(0, 4, (480, 640))
    with pytest.raises(NoInk):
        prepare(Image.fromarray(light.astype(np.uint8)))


def test_digits_that_come_as_pictures_are_read_as_well(trained_store):
    from training.predictor import Predictor

    predict = Predictor.load(trained_store, "tiny", row_sizes=(250,))
    few = TRAIN.take(np.arange(10_000, 10_150))

    def wrong(digits):
        return int((predict(digits.images).argmax(axis=1) != digits.labels).sum())

    as_pictures, uci = rendered_digits(few, 1000), uci_digits(50)
    assert as_pictures.labels.tolist() == few.labels.tolist()
    assert len(uci) == 50
    assert wrong(as_pictures) <= wrong(few) + 10
    assert wrong(uci) < 25


# Files of all kinds

WHITE = large(ink="white")
BLACK = large(ink="black")
BLACK_PNG = encoded(BLACK)


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


def test_white_strokes_on_nothing_are_on_black_paper_when_the_ink_is_said_to_be_white():
    assert np.array_equal(decoded(encoded(transparent("white")), ink="white"), prepare(WHITE))
    with pytest.raises(WrongValue, match="all one colour"):
        decoded(encoded(transparent("white")))


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
import sys, threading
from pathlib import Path
from service.picture import decode_picture

def megabytes(what):
    return int(Path("/proc/self/status").read_text().partition(what)[2].split()[0]) // 1024

def decode(path):
    decode_picture(Path(path).read_bytes(), "image/png", None, limit_pixels=25_000_000, large=one_at_a_time)

def decode_and_stay(path):
    decode(path)
    all_done.wait()

small, large = sys.argv[1:]
one_at_a_time, all_done = threading.Lock(), threading.Barrier(4)
decode(small)
before = megabytes("VmRSS:")
for _ in range(3):
    threading.Thread(target=decode_and_stay, args=[large]).start()
all_done.wait()
print(megabytes("VmHWM:") - before, megabytes("VmRSS:") - before)
"""
"""Prints by how much a process grows at most, and how much it keeps, when three threads decode a large picture each."""


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


# What is refused


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
            "the picture is all one colour or has no black strokes, want a digit on it",
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


def test_a_damaged_file_is_refused_or_read_and_nothing_else():
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for body, media_type in (
        (encoded(large(times=2), exif=exif), PNG),
        (encoded(large(times=2), "JPEG", exif=exif), JPEG),
    ):
        for _ in range(150):
            damaged = bytearray(body)
            for place in rng.integers(8, len(body), 3):
                damaged[place] = rng.integers(256)
            with contextlib.suppress(RequestError):
                decoded(bytes(damaged), media_type)


# Through the service


@pytest.mark.anyio
async def test_a_picture_is_answered_shown_and_remembered():
    predictor = FakePredictor()
    async with client_of(app_with(predictor)) as client:
        answer = await client.post(
            "/predict?fields=digit,pixels", content=encoded(BLACK), headers={"Content-Type": PNG}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["pixels"] == prepare(BLACK).ravel().tolist()
        prediction = answer.headers["X-Prediction-Id"]
        recent = client._transport.app.state.recent
        assert recent.find(prediction).pixels == prepare(BLACK).tobytes()


@pytest.mark.anyio
async def test_pixels_come_with_every_kind_of_body_that_is_answered_in_json():
    pictures = TRAIN.images[:2]
    async with client_of(app_with(FakePredictor())) as client:
        headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
        answer = await client.post("/predict?fields=pixels", content=pictures.tobytes(), headers=headers)
        assert [p["pixels"] for p in answer.json()["predictions"]] == pictures.reshape(2, 784).tolist()
        answer = await client.post("/predict", json={"pixels": pictures[0].ravel().tolist()})
        assert "pixels" not in answer.json()


@pytest.mark.anyio
async def test_ink_goes_with_pictures_and_scale_does_not():
    async with client_of(app_with(FakePredictor())) as client:

        async def ask(query, media_type=PNG, body=BLACK_PNG):
            return await client.post(f"/predict?{query}", content=body, headers={"Content-Type": media_type})

        black = await ask("fields=pixels&ink=black")
        assert black.json()["pixels"] == prepare(BLACK).ravel().tolist()
        white = await ask("fields=pixels&ink=white")
        assert white.status_code == 422 or white.json()["pixels"] != black.json()["pixels"]
        wanted = "black or white"
        message = f"query parameter ink has 'blue', want {wanted}"
        problem(await ask("ink=blue"), 422, "wrong_type", message, "ink")
        message = "query parameter scale goes with application/x-npy; with image/png, want none"
        problem(await ask("scale=1"), 422, "unknown_parameter", message, "scale")
        message = (
            "query parameter ink goes with image/png and image/jpeg; with application/octet-stream, want none: "
            "0 is background"
        )
        found = await ask("ink=black", "application/octet-stream", bytes(784))
        problem(found, 422, "unknown_parameter", message, "ink")


@pytest.mark.anyio
async def test_errors_of_pictures_have_their_status():
    async with client_of(app_with(FakePredictor(), picture_limit_pixels=100_000)) as client:
        for body, status, code in (
            (encoded(BLACK)[:-50], 400, "invalid_picture"),
            (encoded(large(times=20)), 413, "picture_too_large"),
            (encoded(Image.new("L", (9, 9))), 422, "no_ink"),
            (encoded(BLACK, "JPEG"), 415, "mismatched_media_type"),
        ):
            answer = await client.post("/predict", content=body, headers={"Content-Type": PNG})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.anyio
async def test_pictures_wait_for_threads_not_without_limit_and_not_for_ever(monkeypatch):
    """A slow picture holds up neither the event loop nor whoever says how long to wait."""
    gate, started = threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        started.set()
        assert gate.wait(20)
        return decode_picture(*args, **kwargs)

    monkeypatch.setattr("service.picture.decode_picture", slow)
    pictures = Pictures(10**6, threads=1, limit_waiting=1)
    loop = asyncio.get_running_loop()

    def ask(patience_s):
        return asyncio.create_task(pictures.prepare(encoded(BLACK), PNG, None, loop.time() + patience_s))

    first = ask(20)
    await asyncio.to_thread(started.wait, 20)
    second = ask(0.05)
    await asyncio.sleep(0)
    with pytest.raises(NotReady, match=r"^1 pictures wait to be prepared, and that is the limit; try again later$"):
        await ask(20)
    with pytest.raises(DeadlineExceeded):
        await second
    gate.set()
    assert (await first).images.shape == (1, 28, 28)
    pictures.close()
