"""Digits in Parquet with a picture file in each row, as Hugging Face writes it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from tests.support.digits import problem, same, some
from training.data.load import load

if TYPE_CHECKING:
    from pathlib import Path


def png(pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture
def files() -> list[dict[str, object]]:
    """The column image of `some()`."""
    return [{"bytes": png(image), "path": None} for image in some().images]


def saved(tmp_path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_picture_files_and_labels_are_read(tmp_path: Path, files: list[dict[str, object]]) -> None:
    path = saved(tmp_path, image=files, label=some().labels)
    assert same(load(path, ink="white"), some())
    told: list[str] = []
    load(path, tell=told.append)
    assert "of 20 pictures are taken for dark on light" in told[0]


def test_a_row_without_a_readable_picture_is_named_and_may_be_left_out(
    tmp_path: Path, files: list[dict[str, object]]
) -> None:
    files[3] = {"bytes": b"no picture", "path": None}
    files[5] = {"bytes": None, "path": None}
    path = saved(tmp_path, image=files, label=some().labels)
    text = "not a readable picture, want PNG, JPEG, WebP, GIF, BMP or TIFF"
    assert problem(lambda: load(path, ink="white")) == f"{path}: row 3: {text}"
    skipped: list[str] = []
    assert len(load(path, ink="white", skip=skipped.append)) == 18
    assert skipped == [f"{path}: row 3: {text}", f"{path}: row 5: {text}"]


def test_labels_are_wanted_from_0_to_9_and_pictures_have_no_scale(
    tmp_path: Path, files: list[dict[str, object]]
) -> None:
    path = saved(tmp_path, image=files)
    assert problem(lambda: load(path)) == (
        f"{path}: has pictures and no labels, want a column label with whole numbers from 0 to 9"
    )
    path = saved(tmp_path, image=files[:2], label=[3, 10])
    assert problem(lambda: load(path)) == f"{path}: row 1, digit is 10, want a whole number from 0 to 9"
    assert problem(lambda: load(path, scale=1.0)) == (
        f"{path}: scale is 1, want 255: pictures always run from 0 to 255"
    )
