"""CSV and Parquet: one digit a row, columns `digit,pixel0…pixel783` by name, in any order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from training.data.digits import DataError
from training.data.pixels import digits_from
from training.data.replacing import replacing
from training.images import FULL_INK, PIXELS

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from training.data.digits import Digits

COLUMNS = ("digit", *(f"pixel{index}" for index in range(PIXELS)))


def read_csv(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from a CSV file (packed if the name ends in .gz), pixels in 0…scale.

    Raises DataError naming the file, the row (counted from 0 below the header) and the column.
    """
    convert = csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.float32()), null_values=[""])
    try:
        table = csv.read_csv(path, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:  # reading with one thread is slower, and its errors name the row
            table = csv.read_csv(path, csv.ReadOptions(use_threads=False), convert_options=convert)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{path}: {_csv_problem(path, str(error))}") from error
    except OSError as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from error
    return _digits(path, table, scale)


def read_parquet(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from a Parquet file, pixels in 0…scale. Raises DataError naming the file, the row and the column."""
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    return _digits(path, table, scale)


def write_csv(path: Path, digits: Digits) -> None:
    """Write digits as CSV, pixels 0…255, packed if the name ends in .gz. The file appears whole or not at all."""
    options = csv.WriteOptions(quoting_header="none")  # type: ignore[call-arg] # the stubs are older than the option
    with replacing(path) as aside, pa.output_stream(aside) as stream:  # compresses by the ending of the name
        csv.write_csv(_table(digits), stream, options)


def write_parquet(path: Path, digits: Digits) -> None:
    """Write digits as Parquet, columns uint8. The file appears whole or not at all."""
    with replacing(path) as aside:
        parquet.write_table(_table(digits), aside, compression="zstd")


def _table(digits: Digits) -> pa.Table:
    """A table of 785 columns uint8 [n]."""
    pixels = np.ascontiguousarray(digits.images.reshape(-1, PIXELS).T)  # [784, n]
    return pa.table([pa.array(column) for column in (digits.labels, *pixels)], names=list(COLUMNS))


def _digits(path: Path, table: pa.Table, scale: float) -> Digits:
    """Digits from a table with the 785 columns, in any order, of numbers without nulls."""
    _check_names(path, table.column_names)
    columns = [_numbers(path, name, table.column(name)) for name in COLUMNS]
    compact = all(column.dtype == np.uint8 for column in columns)
    pixels = np.empty((PIXELS, len(table)), np.uint8 if compact else np.float32)
    for row, column in zip(pixels, columns[1:], strict=True):
        row[:] = column
    return digits_from(path, pixels.T, columns[0], scale)  # [n, 784]


def _numbers(path: Path, name: str, column: pa.ChunkedArray[Any]) -> NDArray[Any]:
    """A column [n] of integers or floats, without nulls."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{path}: column {name} holds {column.type}, want numbers")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(f"{path}: row {row}, {name} is empty, want a number")
    return column.to_numpy()


def _check_names(path: Path, names: list[str]) -> None:
    """Refuses missing, unknown and repeated columns, naming the first few."""
    problems = {
        "missing": [name for name in COLUMNS if name not in names],
        "unknown": [name for name in names if name not in COLUMNS],
        "repeated": sorted({name for name in names if names.count(name) > 1}.intersection(COLUMNS)),
    }
    found = [f"{problem}: {_few(columns)}" for problem, columns in problems.items() if columns]
    if found:
        raise DataError(f"{path}: {'; '.join(found)}; want the columns digit, pixel0 … pixel{PIXELS - 1}")


def _few(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _csv_problem(path: Path, message: str) -> str:
    """An error of pyarrow about a CSV file, with the row (1 is its header) and the column in our terms."""
    if cell := re.search(r"column #(\d+): Row #(\d+): .*invalid value '(.*)'", message, re.DOTALL):
        column, row, value = int(cell[1]), int(cell[2]) - 2, cell[3]
        with csv.open_csv(path) as reader:
            name = reader.schema.names[column]
        return f"row {row}, {name} is {value!r}, want a number"
    if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        return f"row {int(ragged[1]) - 2} has {ragged[3]} columns, want {ragged[2]} as in the header"
    return f"not a readable CSV file: {message.splitlines()[0]}"
