"""Loads a user's own digits from any of the supported file formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from training.data.digits import DataError, Digits
from training.data.idx import read_idx
from training.data.pixels import digits_from
from training.images import FULL_INK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.picture import Ink

IDX_NAME = re.compile(r"idx[13]-ubyte(\.gz)?$")
IMAGES_NAME = re.compile(r"images[.-]idx3-ubyte(\.gz)?$")  # MNIST's own name has -idx3, copies of it have .idx3
FORMS = (
    "an IDX pair (…images-idx3-ubyte[.gz] beside …labels-idx1-ubyte[.gz], or a folder with one pair), "
    ".csv, .csv.gz, .parquet, .npz, or a folder with sub-folders 0 to 9 of pictures"
)


def load(
    path: Path, *, scale: float = FULL_INK, ink: Ink | None = None, tell: Callable[[str], None] = lambda _: None
) -> Digits:
    """Digits from a file or folder; its kind decides the format.

    `scale` is the number that means full ink in a file of numbers (255, or 1 for pixels in 0…1). `ink` is the colour
    of the strokes: "white" if 0 is background, as in MNIST, "black" if 0 is ink. In a file of numbers, neither is ever
    guessed: without `ink`, 0 is background. Pictures in a folder are read as in the service: without `ink`, the border
    of each picture is paper, and `tell` gets a sentence about what was found.
    Raises DataError naming the file when it is missing, in no supported form, or wrong.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if scale <= 0:
        raise DataError(f"scale is {scale:g}, want a number above 0")
    try:
        return _load(path, scale, ink, tell)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error


def _load(path: Path, scale: float, ink: Ink | None, tell: Callable[[str], None]) -> Digits:
    """Digits from a path that exists. The readers of pictures and tables are imported only when needed."""
    name = path.name.lower()
    if path.is_dir() and _has_folders(path):
        from training.data.folder import read_folder

        if scale != FULL_INK:
            raise DataError(f"{path}: scale is {scale:g}, want {FULL_INK:g}: pictures always run from 0 to 255")
        return read_folder(path, ink, tell)
    if path.is_dir() or IDX_NAME.search(name):
        digits = _read_idx_pair(images_in(path) if path.is_dir() else path, scale)
    elif name.endswith((".csv", ".csv.gz")):
        from training.data.tabular import read_csv

        digits = read_csv(path, scale)
    elif name.endswith(".parquet"):
        from training.data.tabular import read_parquet

        digits = read_parquet(path, scale)
    elif name.endswith(".npz"):
        from training.data.npz import read_npz

        digits = read_npz(path, scale)
    else:
        raise DataError(f"{path}: not a supported form, want {FORMS}")
    return Digits(255 - digits.images, digits.labels) if ink == "black" else digits


def _has_folders(path: Path) -> bool:
    """Whether the folder has sub-folders that are not hidden."""
    return any(entry.is_dir() and not entry.name.startswith(".") for entry in path.iterdir())


def images_in(folder: Path) -> Path:
    """The images file of the only IDX pair in a folder."""
    found = sorted(entry for entry in folder.iterdir() if IMAGES_NAME.search(entry.name) and entry.name[0] != ".")
    if not found:
        raise DataError(f"{folder}: not a supported form, want {FORMS}")
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise DataError(f"{folder}: holds {len(found)} IDX images files ({names}), want 1: give the file itself")
    return found[0]


def _read_idx_pair(images: Path, scale: float) -> Digits:
    """Digits from an IDX images file and the labels file beside it, either of them packed or not."""
    if not IMAGES_NAME.search(images.name):
        raise DataError(f"{images}: is not an images file, want …images-idx3-ubyte: its labels are found beside it")
    if labels := labels_beside(images):
        return digits_from(images, read_idx(images), read_idx(labels), scale)
    plain = _labels_name(images)
    raise DataError(f"{images}: has no labels beside it, want {plain} or {plain}.gz")


def labels_beside(images: Path) -> Path | None:
    """The labels file of an IDX images file, packed or not; None if there is none."""
    plain = images.with_name(_labels_name(images))
    return next((labels for labels in (plain, plain.with_name(f"{plain.name}.gz")) if labels.exists()), None)


def _labels_name(images: Path) -> str:
    return images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
