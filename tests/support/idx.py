"""IDX files for tests."""

import gzip
import struct
from pathlib import Path

import numpy as np

UINT8 = 0x08


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array uint8 as IDX, packed with gzip if the name ends in .gz."""
    data = struct.pack(f">2xBB{array.ndim}I", UINT8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
