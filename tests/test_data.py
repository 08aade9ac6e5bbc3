"""Digits, their split, and every form they are read from and written to."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pyarrow import csv, parquet

from training import mnist
from training.data.digits import DataError, Digits
from training.data.folder import read_folder
from training.data.gallery import gallery
from training.data.idx import read_idx, write_idx
from training.data.load import load
from training.data.replacing import replacing
from training.data.split import split
from training.data.tabular import COLUMNS, read_csv, read_parquet, write_csv, write_parquet
from training.errors import DigitsError
from training.images import PixelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def some(n: int = 20, seed: int = 0) -> Digits:
    """n digits of noise, every class equally often."""
    rng = np.random.default_rng(seed)
    return Digits(rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10)


def same(found: Digits, wanted: Digits) -> bool:
    return np.array_equal(found.images, wanted.images) and np.array_equal(found.labels, wanted.labels)


def problem(call: Callable[[], object]) -> str:
    """The text of the DataError that a call raises."""
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


# Digits


def test_an_error_in_data_is_for_the_user_and_is_a_value_error() -> None:
    assert issubclass(DataError, DigitsError)
    assert issubclass(DataError, ValueError)
    assert issubclass(PixelError, DigitsError)


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (np.zeros((1, 28, 28)), np.zeros(1, np.uint8), "images are float64, want uint8"),
        (np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64), "labels are int64, want uint8"),
        (np.zeros((1, 784), np.uint8), np.zeros(1, np.uint8), "images have shape [1, 784], want [n, 28, 28]"),
        (
            np.zeros((2, 28, 28), np.uint8),
            np.zeros(3, np.uint8),
            "labels have shape [3], want [2]: one for each image",
        ),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "there are 0 digits, want at least 1"),
        (np.zeros((3, 28, 28), np.uint8), np.array([9, 10, 3], np.uint8), "labels[1] is 10, want 0 to 9"),
    ],
)
def test_digits_refuse_any_other_dtype_shape_or_label(images: np.ndarray, labels: np.ndarray, text: str) -> None:
    assert problem(lambda: Digits(images, labels)) == text


def test_taking_keeps_the_order_asked_for() -> None:
    digits = some()
    assert digits.take([7, 3]).labels.tolist() == [7, 3]
    assert np.array_equal(digits.take([7, 3]).images[1], digits.images[3])
    assert len(digits.take(digits.labels == 4)) == 2


def test_the_fingerprint_of_known_digits_never_changes() -> None:
    digits = Digits(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8))
    assert digits.sha256 == "9ec9fd545b60d41afbaa331e3507dd13fb83be025ba51fc75a473dc996e8f6f6"


def test_the_fingerprint_sees_one_pixel_one_label_and_the_order() -> None:
    digits = some()
    images, labels = digits.images.copy(), digits.labels.copy()
    images[19, 27, 27] ^= 1
    labels[0] = 1
    others = [Digits(images, digits.labels), Digits(digits.images, labels), digits.take(np.arange(20)[::-1])]
    assert len({digits.sha256, *(other.sha256 for other in others)}) == 4
    assert digits.take(np.arange(20)).sha256 == digits.sha256


# The split


def numbered(labels: np.ndarray) -> Digits:
    """Digits whose images carry their own number in two pixels."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
    return Digits(images, labels.astype(np.uint8))


def numbers(digits: Digits) -> list[int]:
    return [int(image[0, 0]) * 256 + int(image[0, 1]) for image in digits.images]


def test_the_split_is_exact_stratified_and_in_the_original_order() -> None:
    counts = np.arange(10, 110, 10)  # 10 zeros … 100 nines
    train, validation = split(numbered(np.repeat(np.arange(10), counts)), validation=101)
    assert len(validation) == 101
    assert sorted(numbers(train) + numbers(validation)) == list(range(550))
    assert numbers(train) == sorted(numbers(train))
    assert numbers(validation) == sorted(numbers(validation))
    exact = counts * 101 / 550
    assert (np.abs(np.bincount(validation.labels) - exact) < 1).all()


def test_the_split_of_known_digits_never_changes() -> None:
    # A split that moved would let digits that older checkpoints were calibrated on into training.
    assert numbers(split(numbered(np.arange(40) % 10), validation=11)[1]) == [0, 4, 7, 10, 12, 18, 21, 29, 33, 35, 36]


def test_another_seed_holds_out_other_digits() -> None:
    assert not same(split(some(40), 10, seed=1)[1], split(some(40), 10, seed=2)[1])


def test_a_split_leaves_something_on_both_sides() -> None:
    assert problem(lambda: split(some(20), 20)) == "validation is 20, want 1 to 19: there are 20 digits"
    assert problem(lambda: split(some(20), 0)) == "validation is 0, want 1 to 19: there are 20 digits"
    assert len(split(some(20), 19)[0]) == 1


# IDX


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
def test_idx_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, some(3).images)
    assert np.array_equal(read_idx(tmp_path / name), some(3).images)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_packed_idx_carries_no_time_so_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", some(3).images)
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)


def test_idx_is_unpacked_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", some(3).images)
    (tmp_path / "a.gz").rename(tmp_path / "a")
    assert np.array_equal(read_idx(tmp_path / "a"), some(3).images)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "begins with nothing, want the IDX magic: 00 00 08 and the number of dimensions"),
        (b"PK\3\4", "begins with 50 4b 03 04, want the IDX magic: 00 00 08 and the number of dimensions"),
        (b"\0\0\x0d\1\0\0\0\0", "holds float32 (0x0d), want uint8 (0x08)"),
        (b"\0\0\x07\1\0\0\0\0", "holds an unknown type (0x07), want uint8 (0x08)"),
        (b"\0\0\x08\0", "has 0 dimensions, want at least 1"),
        (b"\0\0\x08\3\0\0\0\1", "truncated: a header of 8 bytes, want 16 for 3 dimensions"),
        (b"\0\0\x08\1\0\0\0\3ab", "truncated: 2 values, want 3 for shape [3]"),
        (b"\0\0\x08\1\0\0\0\3abcd", "trailing bytes: 4 values, want 3 for shape [3]"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\3abc", mtime=0)[:-9], "corrupt gzip: Compressed file ended before"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\3abc", mtime=0)[:-8] + bytes(8), "corrupt gzip: CRC check failed"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff", "corrupt gzip: Error -3 while decompressing data"),
    ],
)
def test_idx_errors_name_the_file_and_what_is_wrong(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(content)
    assert problem(lambda: read_idx(path)).startswith(f"{path}: {text}")


# Tables

READ = {"csv": read_csv, "parquet": read_parquet}
WRITE = {"csv": write_csv, "parquet": write_parquet}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@settings(max_examples=8, deadline=None)
@given(
    images=arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(28), st.just(28))),
    start=st.integers(min_value=0, max_value=9),
)
def test_any_digits_survive_a_table(
    tmp_path_factory: pytest.TempPathFactory, form: str, images: np.ndarray, start: int
) -> None:
    path = tmp_path_factory.mktemp("table") / f"digits.{form}"
    digits = Digits(images, np.arange(start, start + len(images), dtype=np.uint8) % 10)
    WRITE[form](path, digits)
    assert same(READ[form](path), digits)


def test_a_csv_export_is_plain_numbers_under_plain_names(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", some(2))
    header, first, second = (tmp_path / "a.csv").read_text().splitlines()
    assert header.split(",") == list(COLUMNS)
    assert header.startswith("digit,pixel0,pixel1,")
    assert header.endswith(",pixel783")
    assert [int(cell) for cell in first.split(",")] == [0, *some(2).images[0].ravel()]
    assert second.startswith("1,")


def test_a_packed_csv_is_read_and_written_by_its_ending(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv.gz", some(2))
    assert (tmp_path / "a.csv.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert same(load(tmp_path / "a.csv.gz"), some(2))


def table(**changes: list[object]) -> pa.Table:
    """Three rows of the tabular form, with some columns replaced, added or (None) left out."""
    columns: dict[str, object] = {"digit": [3, 1, 4]} | {name: [0, 128, 255] for name in COLUMNS[1:]}
    columns |= changes
    return pa.table({name: values for name, values in columns.items() if values is not None})


def saved(tmp_path: Path, content: pa.Table, form: str) -> Path:
    path = tmp_path / f"x.{form}"
    if form == "csv":
        csv.write_csv(content, path)
    else:
        parquet.write_table(content, path)
    return path


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_are_found_by_name_in_any_order(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path, table(pixel700=[7, 8, 9]).select(sorted(COLUMNS)), form)
    digits = READ[form](path)
    assert digits.labels.tolist() == [3, 1, 4]
    assert digits.images.reshape(3, 784)[:, 700].tolist() == [7, 8, 9]
    assert digits.images.reshape(3, 784)[:, 699].tolist() == [0, 128, 255]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_pixels_that_run_to_1_are_read_with_scale_1(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path, table(**{name: [0.0, 0.5, 1.0] for name in COLUMNS[1:]}), form)
    assert READ[form](path, scale=1.0).images[:, 0, 0].tolist() == [0, 128, 255]
    assert problem(lambda: READ[form](path)) == (
        f"{path}: pixels are fractions up to 1, want 0 to 255; for 0…1 say scale 1"
    )


WANTED = "want the columns digit, pixel0 … pixel783"


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"digit": None, "label": [1, 2, 3]}, f"missing: digit; unknown: label; {WANTED}"),
        (dict.fromkeys(COLUMNS[1:6]), f"missing: pixel0, pixel1, pixel2 and 2 more; {WANTED}"),
        ({"digit": [3, 10, 4]}, "row 1, digit is 10, want a whole number from 0 to 9"),
        ({"digit": [3, 1, 4.5]}, "row 2, digit is 4.5, want a whole number from 0 to 9"),
        ({"digit": [-1, 1, 4]}, "row 0, digit is -1, want a whole number from 0 to 9"),
        ({"digit": [3, None, 4]}, "row 1, digit is empty, want a number"),
        ({"pixel17": [0, 1, 256]}, "row 2, pixel17 is 256, want a number from 0 to 255"),
        ({"pixel17": [0, -1, 256]}, "row 1, pixel17 is -1, want a number from 0 to 255"),
        ({"pixel17": [0.0, float("nan"), 5.0]}, "row 1, pixel17 is nan, want a number from 0 to 255"),
        ({"pixel17": [0.0, 5.0, float("inf")]}, "row 2, pixel17 is inf, want a number from 0 to 255"),
        ({"pixel783": [None, 5, 6]}, "row 0, pixel783 is empty, want a number"),
    ],
)
def test_table_errors_name_the_file_the_row_and_the_column(
    tmp_path: Path, form: str, changes: dict[str, list[object]], text: str
) -> None:
    path = saved(tmp_path, table(**changes), form)
    assert problem(lambda: READ[form](path)) == f"{path}: {text}"


def test_a_word_in_a_csv_is_found_by_row_and_column(tmp_path: Path) -> None:
    path = saved(tmp_path, table(pixel17=["0", "1", "two"]).select(sorted(COLUMNS)), "csv")
    assert problem(lambda: read_csv(path)) == f"{path}: row 2, pixel17 is 'two', want a number"


def test_a_word_in_a_parquet_column_is_a_matter_of_its_type(tmp_path: Path) -> None:
    path = saved(tmp_path, table(pixel17=["0", "1", "two"]), "parquet")
    assert problem(lambda: read_parquet(path)) == f"{path}: column pixel17 holds string, want numbers"


def test_a_short_row_of_a_csv_is_counted(tmp_path: Path) -> None:
    path = saved(tmp_path, table(), "csv")
    path.write_text(path.read_text() + "5,0,0\n")
    assert problem(lambda: read_csv(path)) == f"{path}: row 3 has 3 columns, want 785 as in the header"


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",".join([*COLUMNS, "pixel5"]) + "\n" + ",".join(["0"] * 786) + "\n")
    assert problem(lambda: read_csv(path)) == f"{path}: repeated: pixel5; {WANTED}"


def test_a_csv_without_rows_or_without_anything_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",".join(COLUMNS) + "\n")
    assert problem(lambda: read_csv(path)) == f"{path}: there are 0 digits, want at least 1"
    path.write_text("")
    assert problem(lambda: read_csv(path)) == f"{path}: not a readable CSV file: Empty CSV file"


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("digit,pixel0\n")
    assert problem(lambda: read_parquet(path)).startswith(f"{path}: not a readable Parquet file: ")


# NumPy archives


@pytest.mark.parametrize("shape", [(20, 28, 28), (20, 784)])
def test_an_npz_archive_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "x.npz", images=some().images.reshape(shape) / 255, labels=some().labels.astype(int))
    assert same(load(tmp_path / "x.npz", scale=1.0), some())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"x_train": [1], "y_train": [1]}, "holds x_train, y_train, want images and labels"),
        ({"images": [[1, 2]], "labels": [1]}, "images have shape [1, 2], want [n, 28, 28] or [n, 784]"),
        ({"images": np.zeros((2, 784)), "labels": [1]}, "labels have shape [1], want [2]: one for each image"),
        ({"images": np.zeros((1, 784)), "labels": ["1"]}, "labels are <U1, want numbers"),
        ({"images": np.zeros((1, 784), bool), "labels": [1]}, "images are bool, want numbers"),
        ({"images": np.full((1, 784), 256), "labels": [1]}, "row 0, pixel0 is 256, want a number from 0 to 255"),
        ({"images": np.zeros((1, 784)), "labels": [10]}, "row 0, digit is 10, want a whole number from 0 to 9"),
    ],
)
def test_npz_errors_name_the_file_and_what_was_found(tmp_path: Path, content: dict[str, object], text: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **{name: np.asarray(values) for name, values in content.items()})
    assert problem(lambda: load(path)) == f"{path}: {text}"


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.array([{}], dtype=object), labels=np.zeros(1))
    assert "allow_pickle=False" in problem(lambda: load(path))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 cut off"])
def test_what_is_no_npz_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert problem(lambda: load(path)).startswith(f"{path}: not a readable .npz file: ")


def test_a_lone_array_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        np.save(file, some().images)
    assert problem(lambda: load(path)) == f"{path}: holds no named arrays, want images and labels"


# Folders of pictures


def drawn(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    """Save one picture, the first of `some()` unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(some().images[0] if pixels is None else pixels).save(path, **options)
    return path


def test_a_folder_is_read_by_class_and_then_by_name(tmp_path: Path) -> None:
    images = some().images
    for name, row in {"7/b.png": 0, "7/a.bmp": 1, "0/z.tiff": 2, "9/q.gif": 3}.items():
        drawn(tmp_path / name, images[row])
    (tmp_path / "7" / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").write_text("x")
    digits = load(tmp_path)
    assert digits.labels.tolist() == [0, 7, 7, 9]
    assert np.array_equal(digits.images, images[[2, 1, 0, 3]])


def test_black_ink_is_turned_around_only_when_it_is_stated(tmp_path: Path) -> None:
    drawn(tmp_path / "5" / "a.png", 255 - some().images[0])
    assert np.array_equal(load(tmp_path, ink="black").images[0], some().images[0])
    assert np.array_equal(load(tmp_path).images[0], 255 - some().images[0])


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
    unreadable = "not a readable picture, want PNG, JPEG, BMP, GIF or TIFF"
    assert (
        problem(lambda: load(tmp_path / "blank"))
        == f"{blank}: the picture is all one colour or has no white strokes, want a digit on it"
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
    assert np.array_equal(load(tmp_path).images[0], some().images[0])


def test_a_picture_with_several_frames_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(image) for image in some().images[:2]]
    path = tmp_path / "3" / "a.gif"
    path.parent.mkdir()
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert problem(lambda: load(tmp_path)) == f"{path}: holds 2 frames, want 1"


def test_pictures_have_no_scale(tmp_path: Path) -> None:
    drawn(tmp_path / "3" / "a.png")
    assert problem(lambda: load(tmp_path, scale=1.0)) == (
        f"{tmp_path}: scale is 1, want 255: pictures always run from 0 to 255"
    )


# Any form


def pair(folder: Path, stem: str = "mine", ending: str = "") -> Path:
    """Write an IDX pair; the images file."""
    folder.mkdir(exist_ok=True)
    write_idx(folder / f"{stem}-labels-idx1-ubyte{ending}", some().labels)
    write_idx(folder / f"{stem}-images-idx3-ubyte{ending}", some().images)
    return folder / f"{stem}-images-idx3-ubyte{ending}"


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_idx_pair_is_found_from_its_images_or_its_folder(tmp_path: Path, ending: str) -> None:
    images = pair(tmp_path, ending=ending)
    (tmp_path / ".a-images-idx3-ubyte").write_bytes(b"left by a crash")
    assert same(load(images), some())
    assert same(load(tmp_path), some())


def test_idx_errors_of_the_pair_name_what_is_wanted(tmp_path: Path) -> None:
    images = pair(tmp_path / "two", "a")
    pair(tmp_path / "two", "b")
    labels = images.with_name("a-labels-idx1-ubyte")
    assert problem(lambda: load(tmp_path / "two")) == (
        f"{tmp_path / 'two'}: holds 2 IDX images files (a-images-idx3-ubyte, b-images-idx3-ubyte), want 1: "
        "give the file itself"
    )
    assert problem(lambda: load(labels)) == (
        f"{labels}: is not an images file, want …images-idx3-ubyte: its labels are found beside it"
    )
    write_idx(labels, some(19).labels)
    assert problem(lambda: load(images)) == f"{images}: labels have shape [19], want [20]: one for each image"
    labels.unlink()
    assert problem(lambda: load(images)) == (
        f"{images}: has no labels beside it, want a-labels-idx1-ubyte or a-labels-idx1-ubyte.gz"
    )


def test_ink_turns_files_of_numbers_around_too(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", Digits(255 - some().images, some().labels))
    assert same(load(tmp_path / "x.parquet", ink="black"), some())


def test_what_cannot_be_loaded_says_what_can(tmp_path: Path) -> None:
    strange = tmp_path / "digits.mat"
    assert problem(lambda: load(strange)) == f"{strange}: there is no such file or folder"
    strange.write_bytes(b"")
    forms = (
        "not a supported form, want an IDX pair (…images-idx3-ubyte[.gz] beside …labels-idx1-ubyte[.gz], or a folder "
        "with one pair), .csv, .csv.gz, .parquet, .npz, or a folder with sub-folders 0 to 9 of pictures"
    )
    assert problem(lambda: load(strange)) == f"{strange}: {forms}"
    assert problem(lambda: load(tmp_path)) == f"{tmp_path}: {forms}"
    assert problem(lambda: load(strange, scale=0)) == "scale is 0, want a number above 0"


# Writing whole or not at all


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def crash() -> NoReturn:
        with replacing(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x.csv", "old")]


def test_a_write_into_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.csv"
    assert problem(lambda: write_csv(path, some())).startswith(f"{path}: cannot be written: ")


# The gallery


def test_a_gallery_shows_every_pixel_as_it_is() -> None:
    digits = some(4)
    page = gallery(digits, columns=2, zoom=2)
    # gap 6 and text 11: a cell is 56 + 6 wide and 56 + 13 + 9 high; the second tile starts at (68, 6)
    assert page.size == (2 * 62 + 6, 2 * 78 + 6)
    for index, (left, top) in enumerate([(6, 6), (68, 6), (6, 84), (68, 84)]):
        tile = np.asarray(page.convert("L"))[top : top + 56, left : left + 56]
        inside = tile[1::2, 1::2][2:-2, 2:-2]  # without the rounded corners
        assert np.array_equal(inside, digits.images[index][2:-2, 2:-2])


def test_a_gallery_grows_with_its_captions() -> None:
    assert gallery(some(1), ["4, not 9: 0.51"], zoom=1).width > gallery(some(1), zoom=1).width


def test_a_gallery_wants_one_caption_for_each_digit() -> None:
    assert problem(lambda: gallery(some(3), ["one"])) == "1 captions, want 3: one for each digit"
    assert problem(lambda: gallery(some(3), zoom=0)) == "columns is None, zoom is 0, want at least 1"
