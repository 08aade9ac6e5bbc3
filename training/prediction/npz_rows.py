"""Rows of a NumPy archive: `images`, and other arrays with a number or text for each of them."""

from __future__ import annotations

import math
import zipfile
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from training.data.digits import DataError
from training.data.npz import IMAGES
from training.data.pixels import check_pixels
from training.prediction.source import NUMBERS_AT_ONCE, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ENDING = ".npy"
KEPT_KINDS = "biufUM"
"""Kinds of NumPy dtype that are kept: booleans, numbers, text, dates."""


class _Array(NamedTuple):
    """An array of the archive, opened at its first row."""

    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows_first: bool

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def take(self, rows: int) -> NDArray[Any]:
        """The next rows. Raises EOFError if there are fewer."""
        data = self.file.read(rows * self.row_bytes)
        if len(data) != rows * self.row_bytes:
            raise EOFError("it is truncated")
        found = np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])
        return found if self.dtype.isnative else found.astype(self.dtype.newbyteorder("="))


class NpzRows:
    """The rows of the array `images` of an .npz file, compressed or not, which is never read whole; see `Source`."""

    pictures = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._readable(), zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in archive.namelist():
                if name.endswith(ENDING):
                    with archive.open(name) as file:
                        arrays[name.removesuffix(ENDING)] = _opened(file)
        if IMAGES not in arrays:
            raise DataError(f"{path}: holds {', '.join(arrays) or 'no named arrays'}, want {IMAGES}")
        images = arrays[IMAGES]
        check_pixels(path, images.shape, images.dtype)
        if not images.rows_first:
            raise DataError(f"{path}: {IMAGES} lie in the file column by column (Fortran order), want row by row")
        self.rows = images.shape[0]
        kept = {
            name: pa.array(np.empty(0, of.dtype.newbyteorder("="))).type
            for name, of in arrays.items()
            if of.shape == (self.rows,) and of.dtype.kind in KEPT_KINDS
        }
        self.kept = pa.schema([*kept.items()])

    def files(self) -> list[Path]:
        return [self._path]

    def count(self) -> int:
        return self.rows

    def read(self, first: int, stop: int | None) -> Iterator[Numbers]:
        with self._readable(), ExitStack() as held:
            archive = held.enter_context(zipfile.ZipFile(self._path))
            arrays = {}
            for name in (IMAGES, *self.kept.names):
                arrays[name] = _opened(held.enter_context(archive.open(name + ENDING)))
                arrays[name].file.seek(first * arrays[name].row_bytes, 1)
            end = self.rows if stop is None else stop
            for begin in range(first, end, NUMBERS_AT_ONCE):
                rows = min(NUMBERS_AT_ONCE, end - begin)
                columns = [
                    pa.array(arrays[name].take(rows), kind.type)
                    for name, kind in zip(self.kept.names, self.kept, strict=True)
                ]
                yield Numbers(arrays[IMAGES].take(rows), pa.table(columns, schema=self.kept))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self._path}: not a readable .npz file: {error}") from error


def _opened(file: IO[bytes]) -> _Array:
    """The array in an .npy file, behind its header. Raises ValueError for what NumPy would have to unpickle."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return _Array(file, shape, dtype, not fortran or len(shape) < 2)
