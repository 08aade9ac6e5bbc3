"""Rows of Parquet files: 784 columns of pixels, or a column `image` with picture files as Hugging Face writes it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import compute, parquet

from training.data.columns import IMAGE, check_columns, fields_of_image, pixel_names, pixels_of
from training.data.digits import DataError
from training.prediction.source import FILES_AT_ONCE, NUMBERS_AT_ONCE, Files, Numbers, gathered, without_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KEPT_PATH = "image.path"
"""The column that the field `path` of `image` is kept as."""


class ParquetRows:
    """The rows of Parquet files with the same columns, one file after another; see `Source`."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files: list[tuple[Path, int]] = []
        for file in files:
            with _opened(file) as opened:
                schema = opened.schema_arrow.remove_metadata()
                self._files.append((file, opened.metadata.num_rows))
            if file == files[0]:
                first = schema
            elif not schema.equals(first):
                raise DataError(f"{file}: has other columns than {files[0]}, want the same, of the same types")
        self.rows = sum(rows for _, rows in self._files)
        fields = fields_of_image(first)
        self.pictures = bool(fields)
        if self.pictures:
            self.kept = first.remove(first.get_field_index(IMAGE))
            if path := fields.get("path"):
                self.kept = self.kept.append(pa.field(KEPT_PATH, path))
        else:
            check_columns(files[0], first, pixel_names(first.names), others=True)
            self.kept = without_pixels(first)

    def files(self) -> list[Path]:
        return [file for file, _ in self._files]

    def count(self) -> int:
        return self.rows

    def read(self, first: int, stop: int | None) -> Iterator[Numbers | Files]:
        at_once = FILES_AT_ONCE if self.pictures else NUMBERS_AT_ONCE
        for table in gathered(self._batches(first, self.rows if stop is None else stop, at_once), at_once):
            if self.pictures:
                image = table.column(IMAGE)
                if KEPT_PATH in self.kept.names:
                    table = table.append_column(KEPT_PATH, compute.struct_field(image, "path"))
                yield Files(compute.struct_field(image, "bytes").to_pylist(), table.select(self.kept.names))
            else:
                yield Numbers(pixels_of(table), table.select(self.kept.names))

    def _batches(self, first: int, stop: int, at_once: int) -> Iterator[pa.RecordBatch]:
        begin = 0
        for file, rows in self._files:
            if begin < stop and begin + rows > first:
                yield from _rows(file, max(first - begin, 0), min(stop - begin, rows), at_once)
            begin += rows


def _rows(file: Path, first: int, stop: int, at_once: int) -> Iterator[pa.RecordBatch]:
    """The rows of a file from `first` up to, without, `stop`; row groups without one of them are not read."""
    with _opened(file) as opened:
        groups, begin, skipped = [], 0, 0
        for group in range(opened.num_row_groups):
            end = begin + opened.metadata.row_group(group).num_rows
            if begin < stop and end > first:
                groups.append(group)
            elif end <= first:
                skipped = end
            begin = end
        position = skipped
        for batch in opened.iter_batches(at_once, groups, use_threads=False):  # other threads have enough to do
            begin = max(first - position, 0)
            yield batch.slice(begin, max(stop - position - begin, 0))
            position += len(batch)
            if position >= stop:
                return


@contextmanager
def _opened(file: Path) -> Iterator[parquet.ParquetFile]:
    """A Parquet file whose columns are read page by page. Raises DataError naming it."""
    try:
        with parquet.ParquetFile(file, memory_map=True, pre_buffer=False) as opened:
            yield opened
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file: {error}") from error
