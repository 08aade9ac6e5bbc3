"""Digits in folders of pictures, one for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from PIL import Image

from tests.support.digits import problem, some
from training import mnist
from training.data.folder import read_folder
from training.data.load import load

if TYPE_CHECKING:
    from pathlib import Path


def drawn(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    """Save one picture, the first of `some()` unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(some().images[0] if pixels is None else pixels).save(path, **options)
    return path


def test_a_folder_is_read_by_class_and_then_by_name(tmp_path: Path) -> None:
    images = some().images
    options = {"webp": {"lossless": True}}
    for name, row in {"7/b.png": 0, "7/a.bmp": 1, "0/z.tiff": 2, "9/q.gif": 3, "9/r.webp": 4}.items():
        drawn(tmp_path / name, images[row], **options.get(name.partition(".")[2], {}))
    (tmp_path / "7" / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").write_text("x")
    digits = load(tmp_path, ink="white")
    assert digits.labels.tolist() == [0, 7, 7, 9, 9]
    assert np.array_equal(digits.images, images[[2, 1, 0, 3, 4]])


def test_the_border_decides_about_each_picture_unless_the_ink_is_stated(tmp_path: Path) -> None:
    """Pictures of 28 x 28, dark on white, were read as if they were light on black: 195 of 299 were misread."""
    digits = mnist.train().images[:3]
    for name, pixels in {"a": digits[0], "b": 255 - digits[1], "c": 255 - digits[2]}.items():
        drawn(tmp_path / "5" / f"{name}.png", pixels)
    told: list[str] = []
    assert np.array_equal(load(tmp_path, tell=told.append).images, digits)
    assert told == [
        f"{tmp_path}: 2 of 3 pictures are taken for dark on light and 1 for light on dark; --ink black or --ink "
        "white states it"
    ]
    for ink, wanted in (("black", [255 - digits[0], *digits[1:]]), ("white", [digits[0], *(255 - digits[1:])])):
        assert np.array_equal(load(tmp_path, ink=ink, tell=told.append).images, wanted)
    assert len(told) == 1


def test_a_picture_of_28_x_28_that_is_as_good_as_blank_is_refused(tmp_path: Path) -> None:
    """Levels of 0 and 1 in place of 0 and 255 are a digit for nobody."""
    path = drawn(tmp_path / "5" / "a.png", (mnist.train().images[0] > 0).astype(np.uint8))
    wanted = f"{path}: the picture has no white strokes that could be a digit, want connected lines on plain paper"
    assert problem(lambda: load(tmp_path, ink="white")) == wanted
    assert problem(lambda: load(tmp_path)) == wanted


@pytest.mark.parametrize(("ink", "stroke"), [("white", 255), ("black", 0)])
def test_transparent_parts_are_background(tmp_path: Path, ink: Literal["white", "black"], stroke: int) -> None:
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[10:18, 10:18] = (stroke, stroke, stroke, 255)
    drawn(tmp_path / "5" / "a.png", pixels)
    wanted = np.zeros((28, 28), np.uint8)
    wanted[10:18, 10:18] = 255
    assert np.array_equal(read_folder(tmp_path, ink).images[0], wanted)


def test_folder_errors_name_the_picture_or_the_sub_folder(tmp_path: Path) -> None:
    blank = drawn(tmp_path / "blank" / "3" / "a.png", np.zeros((28, 30), np.uint8))
    deep = drawn(tmp_path / "deep" / "3" / "a.tiff", np.zeros((28, 28), np.int32))
    other = drawn(tmp_path / "other" / "seven" / "a.png").parent
    inner = drawn(tmp_path / "inner" / "3" / "more" / "a.png").parent
    cut = drawn(tmp_path / "cut" / "3" / "a.png")
    cut.write_bytes(cut.read_bytes()[:200])
    note = tmp_path / "note" / "3" / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("not a picture")
    (tmp_path / "none" / "3").mkdir(parents=True)
    unreadable = "not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF"
    assert (
        problem(lambda: load(tmp_path / "blank", ink="white"))
        == f"{blank}: the picture has no white strokes that could be a digit, want connected lines on plain paper"
    )
    assert problem(lambda: load(tmp_path / "deep")) == f"{deep}: has 32 bits per pixel (mode I), want 8 or 16"
    assert problem(lambda: load(tmp_path / "other")) == f"{other}: is not a class, want sub-folders named 0 to 9"
    assert problem(lambda: load(tmp_path / "inner")) == f"{inner}: is a folder, want a picture"
    assert problem(lambda: load(tmp_path / "cut")) == f"{cut}: {unreadable}"
    assert problem(lambda: load(tmp_path / "note")) == f"{note}: {unreadable}"
    assert problem(lambda: load(tmp_path / "none")) == (
        f"{tmp_path / 'none'}: holds no pictures, want sub-folders named 0 to 9 with pictures inside"
    )


@pytest.mark.parametrize("ink", ["white", "black"])
def test_pictures_of_other_sizes_are_prepared_as_those_of_the_service_are(
    tmp_path: Path, ink: Literal["white", "black"]
) -> None:
    digit = mnist.train().images[0]
    large = np.kron(digit, np.ones((9, 9), np.uint8))
    drawn(tmp_path / "5" / "large.png", large if ink == "white" else 255 - large)
    assert np.abs(load(tmp_path, ink=ink).images[0].astype(int) - digit).max() <= 2


def test_16_bits_are_as_good_as_8(tmp_path: Path) -> None:
    drawn(tmp_path / "5" / "deep.png", some().images[0].astype(np.uint16) * 257)
    assert np.array_equal(load(tmp_path, ink="white").images[0], some().images[0])


def animated(path: Path) -> Path:
    frames = [Image.fromarray(image) for image in some().images[:2]]
    path.parent.mkdir(parents=True)
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def test_of_several_frames_the_first_one_is_read_and_an_animated_png_is_refused(tmp_path: Path) -> None:
    """As in the service."""
    animated(tmp_path / "first" / "3" / "a.gif")
    assert np.array_equal(load(tmp_path / "first", ink="white").images, some().images[:1])
    path = animated(tmp_path / "none" / "3" / "a.png")
    assert problem(lambda: load(tmp_path / "none")) == f"{path}: holds 2 frames, want 1"


def test_pictures_have_no_scale(tmp_path: Path) -> None:
    drawn(tmp_path / "3" / "a.png")
    assert problem(lambda: load(tmp_path, scale=1.0)) == (
        f"{tmp_path}: scale is 1, want 255: pictures always run from 0 to 255"
    )


def test_pictures_that_cannot_be_read_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    """One broken picture among thousands ended everything."""
    good = drawn(tmp_path / "3" / "good.png")
    broken = tmp_path / "3" / "broken.png"
    broken.write_bytes(good.read_bytes()[:200])
    skipped: list[str] = []
    assert len(load(tmp_path, skip=skipped.append)) == 1
    assert skipped == [f"{broken}: not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF"]
    good.unlink()
    assert problem(lambda: load(tmp_path, skip=skipped.append)) == f"{tmp_path}: none of the pictures can be read"


def test_what_systems_put_into_folders_are_no_pictures(tmp_path: Path) -> None:
    drawn(tmp_path / "3" / "a.png")
    for name in ("__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found"):
        drawn(tmp_path / name / "a.png")
        drawn(tmp_path / "3" / name / "a.png")
    for name in ("Thumbs.db", "ehthumbs.db", "desktop.ini"):
        (tmp_path / "3" / name).write_bytes(b"x")
        (tmp_path / name).write_bytes(b"x")
    assert load(tmp_path).labels.tolist() == [3]
