"""Files of digits, whatever their form: what is read and what is not, and that they are written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.support.digits import problem, same, some
from training.data.digits import Digits
from training.data.load import load
from training.data.replacing import replacing
from training.data.tabular import write_csv, write_parquet

if TYPE_CHECKING:
    from pathlib import Path


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
