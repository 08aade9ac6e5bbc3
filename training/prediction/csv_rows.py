"""Rows of a CSV file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv

from training.data.columns import check_columns, pixel_names, pixels_of
from training.data.digits import DataError
from training.data.tabular import check_header, csv_options, csv_problem
from training.prediction.source import NUMBERS_AT_ONCE, Numbers, gathered, without_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 2**23
"""What is parsed at once."""


class CsvRows:
    """The rows below the header of a CSV file, packed if the name ends in .gz; see `Source`."""

    rows = None
    pictures = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened(0) as reader:
            self._first_pixel, *_ = names = pixel_names(reader.schema.names)
            check_columns(path, reader.schema, names, others=True)
            self.kept = without_pixels(reader.schema)

    def count(self) -> int:
        with self._opened(0, csv.ConvertOptions(include_columns=[self._first_pixel])) as reader:
            return sum(len(batch) for batch in reader)

    def read(self, first: int, stop: int | None) -> Iterator[Numbers]:
        with self._opened(first) as reader:
            for table in gathered(_up_to(reader, stop and stop - first), NUMBERS_AT_ONCE):
                yield Numbers(pixels_of(table), table.select(self.kept.names))

    @contextmanager
    def _opened(self, skipped: int, convert: csv.ConvertOptions | None = None) -> Iterator[csv.CSVStreamingReader]:
        options = csv.ReadOptions(block_size=BLOCK_BYTES, skip_rows_after_names=skipped)
        try:
            check_header(self._path)
            with csv.open_csv(self._path, options, convert_options=convert or csv_options()) as reader:
                yield reader
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{self._path}: {csv_problem(self._path, self._with_row(error))}") from error
        except OSError as error:
            raise DataError(f"{self._path}: not a readable CSV file: {error}") from error

    def _with_row(self, error: pa.ArrowException) -> str:
        """The text of an error; reading with one thread is slower, and its errors name the row."""
        options = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
        try:
            with csv.open_csv(self._path, options, convert_options=csv_options()) as reader:
                for _ in reader:
                    pass
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as same:
            return str(same)
        return str(error)


def _up_to(batches: csv.CSVStreamingReader, rows: int | None) -> Iterator[pa.RecordBatch]:
    """The first so many rows."""
    left = rows
    for batch in batches:
        if left is None:
            yield batch
        elif left > 0:
            yield batch.slice(0, left)
            left -= len(batch)
        else:
            return
