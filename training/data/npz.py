"""NumPy archives: `images` [n, 28, 28] or [n, 784] and `labels` [n], or these for training and tests as in Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from training.data.digits import DataError
from training.data.pixels import digits_from
from training.images import FULL_INK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.data.digits import Digits

Part: TypeAlias = Literal["train", "test"]
IMAGES: Final = "images"
ARRAYS: Final = (IMAGES, "labels")
OF_KERAS: Final[dict[Part, tuple[str, str]]] = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
"""Names of the arrays in the files that keras.datasets downloads."""


def read_npz(
    path: Path, scale: float = FULL_INK, part: Part = "train", tell: Callable[[str], None] = lambda _: None
) -> Digits:
    """Digits from the arrays `images` (numbers in 0…scale) and `labels` of an .npz file, or from those of a part.

    `tell` gets a sentence if there are parts. Nothing is unpickled. Raises DataError naming the file, and the arrays
    found when one is missing.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            names = archive.files if isinstance(archive, np.lib.npyio.NpzFile) else []  # a lone .npy has no names
            wanted = ARRAYS if IMAGES in names or not set(OF_KERAS[part]) <= set(names) else OF_KERAS[part]
            arrays = [archive[name] for name in wanted if name in names]
    except OSError:
        raise
    except Exception as error:  # NumPy's parsers raise many kinds of exceptions
        raise DataError(f"{path}: not a readable .npz file: {error}") from error
    if len(arrays) != len(ARRAYS):
        raise DataError(f"{path}: holds {', '.join(names) or 'no named arrays'}, want images and labels")
    images, labels = arrays
    if wanted != ARRAYS:
        tell(f"{path}: {' and '.join(wanted)} are read; training takes those for training, evaluation those for tests")
    return digits_from(path, images, labels, scale)
