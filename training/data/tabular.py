"""CSV and Parquet: one digit a row, columns `digit,pixel0…pixel783` by name, in any order, or as others name them."""

from __future__ import annotations

import codecs
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from training.data.columns import COLUMNS, LABELS, SCHEMES, check_columns, label_name, labels_of, pixel_names, pixels_of
from training.data.digits import DataError
from training.data.idx import GZIP_MAGIC
from training.data.pixels import digits_from
from training.data.replacing import replacing
from training.images import FULL_INK, PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.data.digits import Digits

PIXELS_BY_ANY_NAME = tuple(name for scheme in SCHEMES for name in scheme)
HEADER_BYTES = 100_000
"""The first line of a CSV file is not longer."""
SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
"""Of columns in files that are called CSV, as errors name them."""


def read_csv(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from a CSV file (packed if the name ends in .gz), pixels in 0…scale.

    Raises DataError naming the file, the row (counted from 0 below the header) and the column.
    """
    convert = csv_options(dict.fromkeys(LABELS, pa.float32()))
    try:
        check_header(path)
        table = csv.read_csv(path, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:  # reading with one thread is slower, and its errors name the row
            table = csv.read_csv(path, csv.ReadOptions(use_threads=False), convert_options=convert)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{path}: {csv_problem(path, str(error))}") from error
    except OSError as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from error
    return _digits(path, table, scale)


def read_parquet(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from a Parquet file, pixels in 0…scale. Raises DataError naming the file, the row and the column."""
    with opened_parquet(path) as file:
        return _digits(path, file.read(), scale)


@contextmanager
def opened_parquet(path: Path) -> Iterator[parquet.ParquetFile]:
    """A Parquet file; what it cannot read inside the block is a DataError naming the file."""
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error


def write_csv(path: Path, digits: Digits) -> None:
    """Write digits as CSV, pixels 0…255, packed if the name ends in .gz. The file appears whole or not at all."""
    options = csv.WriteOptions(quoting_header="none")  # type: ignore[call-arg] # the stubs are older than the option
    with replacing(path) as aside, pa.output_stream(aside) as stream:  # compresses by the ending of the name
        csv.write_csv(_table(digits), stream, options)


def write_parquet(path: Path, digits: Digits) -> None:
    """Write digits as Parquet, columns uint8. The file appears whole or not at all."""
    with replacing(path) as aside:
        parquet.write_table(_table(digits), aside, compression="zstd")


def csv_options(kept: dict[str, pa.DataType] | None = None) -> csv.ConvertOptions:
    """How CSV is converted: pixels are numbers, some other columns have types, those of the rest are inferred."""
    types = dict.fromkeys(PIXELS_BY_ANY_NAME, pa.float32()) | (kept or {})
    return csv.ConvertOptions(column_types=types, null_values=[""])


def check_header(path: Path) -> None:
    """Raises DataError for a CSV file in another encoding, with other separators, or without names of columns."""
    with path.open("rb") as file:
        begins = file.read(len(GZIP_MAGIC))
    if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError(f"{path}: is in UTF-16, want UTF-8")
    if begins and (begins == GZIP_MAGIC) != (path.suffix == ".gz"):
        packed, ending = ("is packed", ".csv.gz") if begins == GZIP_MAGIC else ("is not packed", ".csv")
        raise DataError(f"{path}: {packed} with gzip, want a name that ends in {ending}")
    with pa.input_stream(path) as stream:  # unpacks by the ending of the name
        first, *_ = stream.read(HEADER_BYTES).decode(errors="replace").splitlines() or [""]
    if found := next((of for of in SEPARATORS if of in first and "," not in first), None):
        raise DataError(f"{path}: columns are separated by {SEPARATORS[found]}, want ','")
    if re.fullmatch(r"[\d.,\s]+", first):
        raise DataError(
            f"{path}: begins with numbers, want the names digit, pixel0 … pixel{PIXELS - 1} in the first line"
        )


def _table(digits: Digits) -> pa.Table:
    """A table of 785 columns uint8 [n]."""
    pixels = np.ascontiguousarray(digits.images.reshape(-1, PIXELS).T)  # [784, n]
    return pa.table([pa.array(column) for column in (digits.labels, *pixels)], names=list(COLUMNS))


def _digits(path: Path, table: pa.Table, scale: float) -> Digits:
    """Digits from a table with a column of labels and 784 of pixels, in any order, without nulls."""
    names = pixel_names(table.schema.names)
    check_columns(path, table.schema, [label_name(table.schema.names), *names])
    for name in names:
        if (column := table.column(name)).null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise DataError(f"{path}: row {row}, {name} is empty, want a number")
    return digits_from(path, pixels_of(table), labels_of(path, table), scale)


def csv_problem(path: Path, message: str) -> str:
    """An error of pyarrow about a CSV file, with the row (1 is its header) and the column in our terms."""
    if cell := re.search(r"column #(\d+): Row #(\d+): .*invalid value '(.*)'", message, re.DOTALL):
        column, row, value = int(cell[1]), int(cell[2]) - 2, cell[3]
        with csv.open_csv(path) as reader:
            name = reader.schema.names[column]
        return f"row {row}, {name} is {value!r}, want a number"
    if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        return f"row {int(ragged[1]) - 2} has {ragged[3]} columns, want {ragged[2]} as in the header"
    return f"not a readable CSV file: {message.splitlines()[0]}"
