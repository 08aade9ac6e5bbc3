"""NumPy archives: the arrays `images` and `labels`, or these for training and tests as in Keras."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, Literal, TypeAlias

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
BEGINNINGS: Final = (b"PK", np.lib.format.MAGIC_PREFIX)
"""The first bytes of an archive, and of a lone array."""


def read_npz(
    path: Path, scale: float = FULL_INK, part: Part = "train", tell: Callable[[str], None] = lambda _: None
) -> Digits:
    """Digits from the arrays `images` (numbers in 0…scale, of SHAPES) and `labels` of an .npz file, or of a part of it.

    `tell` gets a sentence if there are parts. Nothing is unpickled. Raises DataError naming the file, and the arrays
    found when one is missing.
    """
    try:
        with path.open("rb") as file:
            _check_beginning(path, file)
            archive = np.load(file, allow_pickle=False)
            names = archive.files if isinstance(archive, np.lib.npyio.NpzFile) else []  # a lone .npy has no names
            wanted = ARRAYS if IMAGES in names or not set(OF_KERAS[part]) <= set(names) else OF_KERAS[part]
            arrays = [archive[name] for name in wanted if name in names]
    except (OSError, DataError):
        raise
    except Exception as error:  # NumPy's parsers raise many kinds of exceptions
        if "allow_pickle" in str(error):
            raise DataError(f"{path}: an array holds Python objects, want numbers") from error
        raise DataError(f"{path}: not a readable .npz file: {error}") from error
    if len(arrays) != len(ARRAYS):
        raise DataError(f"{path}: holds {', '.join(names) or 'no named arrays'}, want images and labels")
    images, labels = arrays
    if wanted != ARRAYS:
        tell(f"{path}: {' and '.join(wanted)} are read; training takes those for training, evaluation those for tests")
    return digits_from(path, images, labels, scale)


def _check_beginning(path: Path, file: IO[bytes]) -> None:
    """Raises DataError for a file that NumPy would take for a pickle."""
    begins = file.read(len(BEGINNINGS[-1]))
    file.seek(0)
    if not begins.startswith(BEGINNINGS):
        raise DataError(f"{path}: not a readable .npz file: it is no zip archive")
