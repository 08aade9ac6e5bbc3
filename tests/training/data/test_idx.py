"""The IDX form of arrays, packed and not, and pairs of such files."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.digits import problem, same, some
from tests.support.idx import write_idx
from training.data.idx import read_idx
from training.data.load import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
def test_idx_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, some(3).images)
    assert np.array_equal(read_idx(tmp_path / name), some(3).images)


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
