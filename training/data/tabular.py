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
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from training.data.digits import Digits

PIXEL_NAMES = tuple(f"pixel{index}" for index in range(PIXELS))
COLUMNS = ("digit", *PIXEL_NAMES)


def read_csv(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from a CSV file (packed if the name ends in .gz), pixels in 0…scale.

    Raises DataError naming the file, the row (counted from 0 below the header) and the column.
    """
    convert = csv_options()
    try:
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


def check_columns(path: Path, schema: pa.Schema, wanted: Sequence[str] = COLUMNS, *, others: bool = False) -> None:
    """Refuses missing, repeated and, without `others`, unknown columns, and wanted ones that hold no numbers.

    Raises DataError naming the first few.
    """
    names = schema.names
    problems = {
        "missing": [name for name in wanted if name not in names],
        "unknown": [name for name in names if not others and name not in wanted],
        "repeated": sorted({name for name in names if names.count(name) > 1}.intersection(wanted)),
    }
    found = [f"{problem}: {_few(columns)}" for problem, columns in problems.items() if columns]
    if found:
        first = "digit, " if "digit" in wanted else ""
        raise DataError(f"{path}: {'; '.join(found)}; want the columns {first}pixel0 … pixel{PIXELS - 1}")
    for name in wanted:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"{path}: column {name} holds {kind}, want numbers")


def pixels_of(table: pa.Table) -> NDArray[Any]:
    """Pixels uint8 or float32 [n, 784] of a table whose columns are checked; NaN where one is empty."""
    pixels = table.select(PIXEL_NAMES).combine_chunks()
    if any(column.type != pa.uint8() or column.null_count for column in pixels.columns):
        pixels = pixels.cast(pa.schema(dict.fromkeys(PIXEL_NAMES, pa.float32())), safe=False)
    if not len(pixels):
        return np.zeros((0, PIXELS), np.uint8)
    (batch,) = pixels.to_batches()
    return np.asarray(batch.to_tensor(null_to_nan=pixels.schema.types[0] != pa.uint8()))


def csv_options(numbers: Sequence[str] = COLUMNS) -> csv.ConvertOptions:
    """How CSV is converted: some columns are numbers, the types of the others are inferred."""
    return csv.ConvertOptions(column_types=dict.fromkeys(numbers, pa.float32()), null_values=[""])


def _table(digits: Digits) -> pa.Table:
    """A table of 785 columns uint8 [n]."""
    pixels = np.ascontiguousarray(digits.images.reshape(-1, PIXELS).T)  # [784, n]
    return pa.table([pa.array(column) for column in (digits.labels, *pixels)], names=list(COLUMNS))


def _digits(path: Path, table: pa.Table, scale: float) -> Digits:
    """Digits from a table with the 785 columns, in any order, of numbers without nulls."""
    check_columns(path, table.schema)
    for name in COLUMNS:
        if (column := table.column(name)).null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise DataError(f"{path}: row {row}, {name} is empty, want a number")
    return digits_from(path, pixels_of(table), table.column("digit").to_numpy(), scale)


def _few(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


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
