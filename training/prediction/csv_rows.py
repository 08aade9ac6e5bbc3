"""Rows of a CSV file."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv

from training.data.columns import LABELS, check_columns, pixel_names, pixels_of
from training.data.digits import DataError
from training.data.tabular import check_header, csv_options, csv_problem
from training.prediction.source import NUMBERS_AT_ONCE, Numbers, gathered, without_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 2**23
"""What is parsed at once."""
PARSING = csv.ParseOptions(newlines_in_values=True)


class CsvRows:
    """The rows below the header of a CSV file, packed if the name ends in .gz; see `Source`.

    Other columns than pixels are text: a type that is inferred from the first rows may not hold for later ones. Labels
    are whole numbers where those in the first block are.
    """

    rows = None
    pictures = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._options = csv_options()
        with self._opened(0) as reader:
            self._first_pixel, *_ = names = pixel_names(reader.schema.names)
            check_columns(path, reader.schema, names, others=True)
            self.kept = pa.schema([(of.name, _kept_as(of)) for of in without_pixels(reader.schema)])
        self._options = csv_options(kept={of.name: of.type for of in self.kept})

    def files(self) -> list[Path]:
        return [self._path]

    def count(self) -> int:
        return self._count

    def read(self, first: int, stop: int | None) -> Iterator[Numbers]:
        extra = self._not_skipped(first)
        with self._opened(first) as reader:
            rows = _between(reader, extra, None if stop is None else stop - first + extra)
            for table in gathered(rows, NUMBERS_AT_ONCE):
                yield Numbers(pixels_of(table), table.select(self.kept.names))

    @cached_property
    def _count(self) -> int:
        return self._count_behind(0)

    @cached_property
    def _has_blank_lines(self) -> bool:
        return self._count_behind(self._count) > 0

    def _not_skipped(self, first: int) -> int:
        """How many of so many rows are read when they are skipped: pyarrow counts blank lines among them."""
        if not first or not self._has_blank_lines:
            return 0
        return first - (self._count - self._count_behind(first))

    def _count_behind(self, skipped: int) -> int:
        with self._opened(skipped, csv.ConvertOptions(include_columns=[self._first_pixel])) as reader:
            return sum(len(batch) for batch in reader)

    @contextmanager
    def _opened(self, skipped: int, convert: csv.ConvertOptions | None = None) -> Iterator[csv.CSVStreamingReader]:
        options = csv.ReadOptions(block_size=BLOCK_BYTES, skip_rows_after_names=skipped)
        try:
            check_header(self._path)
            with csv.open_csv(self._path, options, PARSING, convert or self._options) as reader:
                yield reader
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{self._path}: {csv_problem(self._path, self._with_row(error))}") from error
        except OSError as error:
            raise DataError(f"{self._path}: not a readable CSV file: {error}") from error

    def _with_row(self, error: pa.ArrowException) -> str:
        """The text of an error; reading with one thread is slower, and its errors name the row."""
        options = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
        try:
            with csv.open_csv(self._path, options, PARSING, self._options) as reader:
                for _ in reader:
                    pass
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as same:
            return str(same)
        return str(error)


def _kept_as(column: pa.Field[pa.DataType]) -> pa.DataType:
    """The type of a column of the output, by what pyarrow has inferred from the first block."""
    if pa.types.is_binary(column.type) or (column.name in LABELS and pa.types.is_integer(column.type)):
        return column.type
    return pa.string()


def _between(batches: csv.CSVStreamingReader, first: int, stop: int | None) -> Iterator[pa.RecordBatch]:
    """The rows from `first` up to, without, `stop`."""
    begin = 0
    for batch in batches:
        if stop is not None and begin >= stop:
            return
        place = min(max(first - begin, 0), len(batch))
        yield batch.slice(place) if stop is None else batch.slice(place, max(stop - begin - place, 0))
        begin += len(batch)
