"""Rows of an IDX file of images, as MNIST has them, with the labels beside it if there are any."""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from training.data.columns import LABEL
from training.data.digits import DataError
from training.data.idx import GZIP_MAGIC, parse_header, read_idx
from training.data.load import labels_beside
from training.data.pixels import check_pixels
from training.images import PIXELS
from training.prediction.source import NUMBERS_AT_ONCE, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

HEADER_BYTES = 16
"""Of three dimensions."""


class IdxRows:
    """The images of an IDX file, packed with gzip or not; see `Source`."""

    pictures = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            shape, _ = parse_header(file.read(HEADER_BYTES), path)
        check_pixels(path, shape, np.dtype(np.uint8))
        self.rows = shape[0]
        beside = labels_beside(path)
        self._files = [path, beside] if beside else [path]
        self._labels = read_idx(beside) if beside else None
        if self._labels is not None and self._labels.shape != (self.rows,):
            raise DataError(f"{beside}: has shape {list(self._labels.shape)}, want [{self.rows}]: one for each image")
        self.kept = pa.schema([] if self._labels is None else [(LABEL, pa.uint8())])

    def files(self) -> list[Path]:
        return self._files

    def count(self) -> int:
        return self.rows

    def read(self, first: int, stop: int | None) -> Iterator[Numbers]:
        end = self.rows if stop is None else stop
        with self._opened() as file:
            file.seek(HEADER_BYTES + first * PIXELS)
            for begin in range(first, end, NUMBERS_AT_ONCE):
                rows = min(NUMBERS_AT_ONCE, end - begin)
                data = file.read(rows * PIXELS)
                if len(data) != rows * PIXELS:
                    raise DataError(
                        f"{self._path}: truncated: {begin + len(data) // PIXELS} images, want {self.rows} by its header"
                    )
                labels = [] if self._labels is None else [pa.array(self._labels[begin : begin + rows])]
                yield Numbers(np.frombuffer(data, np.uint8).reshape(rows, PIXELS), pa.table(labels, schema=self.kept))

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self._path.open("rb") as file:
                packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
                file.seek(0)
                yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc] # it reads and seeks alike
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{self._path}: corrupt gzip: {error}") from error
