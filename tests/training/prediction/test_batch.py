"""Batches of rows: wrong numbers are named, pictures of 28 x 28 are taken as they are, and others are prepared."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tests.support.digits import problem, some
from training import mnist
from training.data.pictures import read_picture
from training.picture.line import Line
from training.prediction.batch import Pixels, prepare, preparing
from training.prediction.source import Files, Numbers

HERE = Path("digits.npz")
SEVEN = mnist.train().images[0]


def numbers(pixels):
    return Numbers(np.asarray(pixels), pa.table({"row": range(len(pixels))}))


def batch_of(pixels, scale=255.0, ink=None):
    (batch,) = Pixels(HERE, scale, ink).batches([numbers(pixels)])
    return batch


def png(image, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


def test_numbers_become_pictures_by_scale_and_ink():
    pixels = some(3).images.reshape(3, 784)
    np.testing.assert_array_equal(batch_of(pixels).images, some(3).images)
    np.testing.assert_array_equal(batch_of(pixels / 255, scale=1.0).images, some(3).images)
    np.testing.assert_array_equal(batch_of(pixels, ink="black").images, 255 - some(3).images)


def test_rows_with_wrong_numbers_are_blank_and_named_and_the_others_are_read():
    pixels = some(5).images.reshape(5, 784).astype(np.float32)
    pixels[1, 3], pixels[3, 0], pixels[4, 9] = 256, -1, np.nan
    batch = batch_of(pixels)
    assert batch.problems == {
        1: "pixel3 is 256, want a number from 0 to 255",
        3: "pixel0 is -1, want a number from 0 to 255",
        4: "pixel9 is nan, want a number from 0 to 255",
    }
    np.testing.assert_array_equal(batch.images[[0, 2]], some(5).images[[0, 2]])
    assert not batch.images[[1, 3, 4]].any()


def test_pixels_that_run_to_1_are_refused_once_there_is_ink():
    blank, dim = np.zeros((2, 784)), np.full((2, 784), 1.0)
    assert len([*Pixels(HERE, 255.0, None).batches([numbers(blank), numbers(blank + 9), numbers(dim)])]) == 3
    pixels = Pixels(HERE, 255.0, None)
    assert problem(lambda: [*pixels.batches([numbers(blank), numbers(dim)])]) == (
        "digits.npz: pixels are all 0 or 1, want 0 to 255; for 0…1 say scale 1 (--scale 1)"
    )


def test_a_picture_of_28_x_28_is_what_training_takes_it_for(tmp_path):
    for name, image in {"white": SEVEN, "black": 255 - SEVEN}.items():
        (tmp_path / f"{name}.png").write_bytes(png(image))
        for file in (tmp_path / f"{name}.png", png(image)):
            (prepared,) = prepare([file], None)
            np.testing.assert_array_equal(prepared, read_picture(tmp_path / f"{name}.png")[0])
            np.testing.assert_array_equal(prepared, SEVEN)


def test_other_pictures_are_prepared_as_the_service_prepares_them(tmp_path):
    large = np.asarray(Image.fromarray(255 - SEVEN).resize((224, 224)))
    (line,) = prepare([png(large)], None)
    assert isinstance(line, Line)
    (tmp_path / "large.png").write_bytes(png(large))
    np.testing.assert_array_equal(line.image, read_picture(tmp_path / "large.png")[0])


NO_INK = "the picture has no black strokes that could be a digit, want connected lines on plain paper"
BROKEN = (
    (None, "there is no picture"),
    (b"no", "not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF"),
    (png(np.zeros((28, 28), np.uint8)), NO_INK),
    (png(np.full((50, 40), 255, np.uint8)), NO_INK),
    (png(np.zeros((28, 28), np.int32), "TIFF"), "has 32 bits per pixel (mode I), want 8 or 16"),
)


@pytest.mark.parametrize("workers", [1, 2])
def test_files_are_prepared_in_their_order_and_broken_ones_are_named(workers):
    good = [png(image) for image in mnist.train().images[:40]]
    files = [*good[:20], *(file for file, _ in BROKEN), *good[20:]]
    parts = [files[:17], files[17:]]
    read = [Files(part, pa.table({"row": range(len(part))})) for part in parts]
    with preparing(workers, None) as prepared:
        batches = [*prepared(iter(read))]
    assert [batch.kept for batch in batches] == [files.kept for files in read]
    images = np.concatenate([batch.images for batch in batches])
    np.testing.assert_array_equal(np.delete(images, range(20, 25), axis=0), mnist.train().images[:40])
    assert batches[0].problems == {}
    assert batches[1].problems == dict(enumerate((text for _, text in BROKEN), start=3))


def test_a_worker_that_is_killed_is_one_error(monkeypatch):
    files = Files([png(SEVEN)], pa.table({"row": [0]}))

    def kill():
        with preparing(2, None) as prepared:
            [*prepared(iter([files]))]

    monkeypatch.setattr("training.prediction.batch._begin_worker", os.abort)
    assert problem(kill) == "a process that prepares pictures was killed; fewer --workers take less memory"
