"""NumPy archives: `images` [n, 28, 28] or [n, 784] and `labels` [n]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.data.digits import DataError
from training.data.pixels import digits_from
from training.images import FULL_INK

if TYPE_CHECKING:
    from pathlib import Path

    from training.data.digits import Digits

ARRAYS = ("images", "labels")


def read_npz(path: Path, scale: float = FULL_INK) -> Digits:
    """Digits from the arrays `images` (numbers in 0…scale) and `labels` of an .npz file.

    Nothing is unpickled. Raises DataError naming the file, and the arrays found when one is missing.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            names = archive.files if isinstance(archive, np.lib.npyio.NpzFile) else []  # a lone .npy has no names
            arrays = [archive[name] for name in ARRAYS if name in names]
    except OSError:
        raise
    except Exception as error:  # NumPy's parsers raise many kinds of exceptions
        raise DataError(f"{path}: not a readable .npz file: {error}") from error
    if len(arrays) != len(ARRAYS):
        raise DataError(f"{path}: holds {', '.join(names) or 'no named arrays'}, want images and labels")
    images, labels = arrays
    return digits_from(path, images, labels, scale)
