"""A source of rows: numbers or picture files, read a batch at a time from any row on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa

from training.data.columns import pixel_names
from training.data.digits import DataError
from training.data.load import IMAGES_NAME, images_in, is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NUMBERS_AT_ONCE = 8192
"""Rows of numbers in a batch: 32 of the predictor's largest ones."""
FILES_AT_ONCE = 64
"""Picture files in a batch, one of the predictor's: each may have several megabytes."""
FORMS = (
    ".csv, .csv.gz, .parquet, .npz, an IDX images file (…images-idx3-ubyte[.gz]), "
    "or a folder of one of these: Parquet files, an IDX images file, or pictures"
)


class Numbers(NamedTuple):
    """Rows whose pixels are numbers."""

    pixels: NDArray[Any]
    """[n, 784] or [n, 28, 28]"""
    kept: pa.Table
    """The other columns."""


class Files(NamedTuple):
    """Rows that are picture files."""

    files: list[Path | bytes | None]
    """A path, the file's content, or None where there is none."""
    kept: pa.Table


class Source(Protocol):
    """Rows in their order. Its constructor raises DataError for a file that is not of the form."""

    @property
    def kept(self) -> pa.Schema:
        """The columns that are no pixels."""
        ...

    @property
    def rows(self) -> int | None:
        """How many there are; None: nobody knows before they are counted."""
        ...

    @property
    def pictures(self) -> bool:
        """Whether rows are picture files."""
        ...

    def files(self) -> Iterable[Path]:
        """The files that the rows come from, in order."""
        ...

    def count(self) -> int:
        """How many rows there are. Raises DataError."""
        ...

    def read(self, first: int, stop: int | None) -> Iterator[Any]:
        """The rows from `first` up to, without, `stop`: Files if `pictures`, otherwise Numbers. Raises DataError."""
        ...


def open_source(path: Path) -> Source:
    """The rows of a file or folder; its kind decides the form. Raises DataError naming the file."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    name = path.name.lower()
    try:
        if path.is_dir():
            return _open_folder(path)
        if name.endswith((".csv", ".csv.gz")):
            from training.prediction.csv_rows import CsvRows

            return CsvRows(path)
        if name.endswith(".parquet"):
            from training.prediction.parquet_rows import ParquetRows

            return ParquetRows([path])
        if name.endswith(".npz"):
            from training.prediction.npz_rows import NpzRows

            return NpzRows(path)
        if IMAGES_NAME.search(name):
            from training.prediction.idx_rows import IdxRows

            return IdxRows(path)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    raise DataError(f"{path}: not a supported form, want {FORMS}")


def _open_folder(path: Path) -> Source:
    files = [
        entry
        for entry in sorted(path.iterdir())
        if entry.is_file() and not is_hidden(entry.name) and entry.name[0] != "_"
    ]
    if tables := [file for file in files if file.suffix.lower() == ".parquet"]:
        from training.prediction.parquet_rows import ParquetRows

        return ParquetRows(tables)
    if any(IMAGES_NAME.search(file.name) for file in files):
        from training.prediction.idx_rows import IdxRows

        return IdxRows(images_in(path))
    from training.prediction.folder_rows import FolderRows

    return FolderRows(path)


def gathered(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of so many rows, the last one of fewer, from batches of any size."""
    waiting: list[pa.RecordBatch] = []
    room = rows
    for batch in batches:
        rest = batch
        while len(rest):
            waiting.append(rest.slice(0, room))
            room -= len(waiting[-1])
            rest = rest.slice(len(waiting[-1]))
            if not room:
                yield pa.Table.from_batches(waiting)
                waiting, room = [], rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def without_pixels(schema: pa.Schema) -> pa.Schema:
    """The columns of a schema that are no pixels."""
    pixels = {*pixel_names(schema.names)}
    return pa.schema([field for field in schema if field.name not in pixels])
