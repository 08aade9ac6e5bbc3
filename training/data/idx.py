"""IDX, the file format of MNIST: two zero bytes, dtype, number of dimensions, the sizes (big-endian uint32), values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from training.data.digits import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GZIP_MAGIC = b"\x1f\x8b"
UINT8 = 0x08
OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of uint8, packed with gzip or not; read-only. Raises DataError naming the file."""
    return parse_idx(unpack(path), path)


def unpack(path: Path) -> bytes:
    """The bytes of a file, unpacked if they begin as gzip does, whatever its name. Raises DataError if corrupt."""
    data = path.read_bytes()
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: corrupt gzip: {error}") from error


def parse_idx(data: bytes, path: Path) -> NDArray[np.uint8]:
    """The read-only array uint8 in the bytes of an IDX file. Raises DataError naming `path`."""
    shape, start = parse_header(data, path)
    count, wanted = len(data) - start, math.prod(shape)
    if count != wanted:
        problem = "truncated" if count < wanted else "trailing bytes"
        raise DataError(f"{path}: {problem}: {count} values, want {wanted} for shape {list(shape)}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def parse_header(data: bytes, path: Path) -> tuple[tuple[int, ...], int]:
    """Shape and place of the values in an IDX file of uint8, by its first bytes. Raises DataError naming `path`."""
    if len(data) < 4 or data[:2] != b"\0\0":
        found = data[:4].hex(" ") or "nothing"
        raise DataError(f"{path}: begins with {found}, want the IDX magic: 00 00 08 and the number of dimensions")
    kind, ndim = data[2], data[3]
    if kind != UINT8:
        raise DataError(f"{path}: holds {OTHER_TYPES.get(kind, 'an unknown type')} (0x{kind:02x}), want uint8 (0x08)")
    if ndim == 0:
        raise DataError(f"{path}: has 0 dimensions, want at least 1")
    start = 4 + 4 * ndim
    if len(data) < start:
        raise DataError(f"{path}: truncated: a header of {len(data)} bytes, want {start} for {ndim} dimensions")
    return struct.unpack(f">{ndim}I", data[4:start]), start
