"""Digits in tables, CSV and Parquet."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import csv, parquet

from tests.support.digits import problem, same, some
from tests.support.examples import examples
from training.data.columns import COLUMNS
from training.data.digits import Digits
from training.data.load import load
from training.data.tabular import read_csv, read_parquet, write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ = {"csv": read_csv, "parquet": read_parquet}
WRITE = {"csv": write_csv, "parquet": write_parquet}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@settings(max_examples=examples(8), deadline=None)
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
        f"{path}: pixels are fractions up to 1, want 0 to 255; for 0…1 say scale 1 (--scale 1)"
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_pixels_that_are_all_0_and_1_are_refused_without_scale_1(tmp_path: Path, form: str) -> None:
    """They were read as if every picture were black, whole numbers without a word."""
    path = saved(tmp_path, table(**{name: [0, 1, 1] for name in COLUMNS[1:]}), form)
    assert READ[form](path, scale=1.0).images[:, 0, 0].tolist() == [0, 255, 255]
    assert problem(lambda: READ[form](path)) == (
        f"{path}: pixels are all 0 or 1, want 0 to 255; for 0…1 say scale 1 (--scale 1)"
    )


WANTED = "want the columns digit, pixel0 … pixel783"


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"digit": None, "name": [1, 2, 3]}, f"missing: digit; unknown: name; {WANTED}"),
        ({"label": [1, 2, 3]}, f"unknown: label; {WANTED}"),
        ({"x" * 99: [1, 2, 3]}, f"unknown: {'x' * 40}…; {WANTED}"),
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


@pytest.mark.parametrize(
    ("name", "packed", "text"),
    [
        ("x.csv", lambda plain: plain.decode().encode("utf-16"), "is in UTF-16, want UTF-8"),
        ("x.csv", gzip.compress, "is packed with gzip, want a name that ends in .csv.gz"),
        ("x.csv.gz", bytes, "is not packed with gzip, want a name that ends in .csv"),
    ],
)
def test_a_csv_in_another_encoding_is_told_as_such(
    tmp_path: Path, name: str, packed: Callable[[bytes], bytes], text: str
) -> None:
    """`row 1 has 7 columns, want 1 as in the header` was said of packed bytes."""
    plain = saved(tmp_path, table(), "csv").read_bytes()
    path = tmp_path / name
    path.write_bytes(packed(plain))
    assert problem(lambda: read_csv(path)) == f"{path}: {text}"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_index_that_was_saved_along_is_named(tmp_path: Path, form: str) -> None:
    """pandas' `to_csv` writes an index under an empty name: `unknown: ; want the columns …`."""
    path = saved(tmp_path, table(**{"": [0, 1, 2]}), form)
    assert problem(lambda: READ[form](path)) == f"{path}: unknown: a column without a name; {WANTED}"


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("digit,pixel0\n")
    assert problem(lambda: read_parquet(path)).startswith(f"{path}: not a readable Parquet file: ")


def renamed(label: str, pixels: list[str], **changes: list[object]) -> pa.Table:
    """Three rows, under the names of somebody else."""
    return table(**changes).rename_columns([label, *pixels])


FROM_1 = [f"pixel{index}" for index in range(1, 785)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("label", "pixels"),
    [
        ("label", list(COLUMNS[1:])),
        ("class", FROM_1),
        ("label", [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]),
    ],
    ids=["kaggle", "openml", "mnist_in_csv"],
)
def test_tables_of_others_are_read_under_their_names(tmp_path: Path, form: str, label: str, pixels: list[str]) -> None:
    """Kaggle's, OpenML's and Kaggle's MNIST in CSV had to be renamed by hand."""
    content = renamed(label, pixels, pixel0=[7, 8, 9], pixel783=[1, 2, 3])
    digits = READ[form](saved(tmp_path, content.select(sorted(content.schema.names)), form))
    assert digits.labels.tolist() == [3, 1, 4]
    assert digits.images[:, 0, 0].tolist() == [7, 8, 9]
    assert digits.images[:, 27, 27].tolist() == [1, 2, 3]


def test_labels_may_be_categories_of_text_as_those_of_openml(tmp_path: Path) -> None:
    labels = pa.array(["3", "1", "4"]).dictionary_encode()
    assert read_parquet(saved(tmp_path, renamed("class", FROM_1, digit=labels), "parquet")).labels.tolist() == [3, 1, 4]
    wrong = saved(tmp_path, table(digit=["3", "one", "4"]), "parquet")
    assert problem(lambda: read_parquet(wrong)) == (f"{wrong}: row 1, digit is 'one', want a whole number from 0 to 9")


@pytest.mark.parametrize(("separator", "name"), [(";", "';'"), ("\t", "tabs")])
def test_other_separators_than_commas_are_told_in_one_short_line(tmp_path: Path, separator: str, name: str) -> None:
    """The error was the header, in a line of 8,000 characters."""
    path = tmp_path / "x.csv"
    path.write_text(separator.join(COLUMNS) + "\n" + separator.join(["0,5"] * 785) + "\n")
    assert problem(lambda: read_csv(path)) == f"{path}: columns are separated by {name}, want ','"


def test_a_csv_that_begins_with_numbers_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",".join(["0"] * 785) + "\n")
    assert problem(lambda: read_csv(path)) == (
        f"{path}: begins with numbers, want the names digit, pixel0 … pixel783 in the first line"
    )
