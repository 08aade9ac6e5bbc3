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

    from training.data.npz import Part
    from training.picture import Ink

IDX_NAME = re.compile(r"idx[13]-ubyte(\.gz)?$")
IMAGES_NAME = re.compile(r"images[.-]idx3-ubyte(\.gz)?$")  # MNIST's own name has -idx3, copies of it have .idx3
OF_SYSTEMS = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("__macosx", "@eadir", "lost+found"),
)
"""What Windows, macOS, Synology and Linux put into folders, in lower case."""
FORMS = (
    "an IDX pair (…images-idx3-ubyte[.gz] beside …labels-idx1-ubyte[.gz], or a folder with one pair), "
    ".csv, .csv.gz, .parquet, .npz, or a folder with sub-folders 0 to 9 of pictures"
)


def load(
    path: Path,
    *,
    scale: float = FULL_INK,
    ink: Ink | None = None,
    part: Part = "train",
    tell: Callable[[str], None] = lambda _: None,
    skip: Callable[[str], None] | None = None,
) -> Digits:
    """Digits from a file or folder; its kind decides the format.

    `scale` is the number that means full ink in a file of numbers (255, or 1 for pixels in 0…1). `ink` is the colour
    of the strokes: "white" if 0 is background, as in MNIST, "black" if 0 is ink. In a file of numbers, neither is ever
    guessed: without `ink`, 0 is background. Pictures, in a folder or in Parquet, are read as in the service: without
    `ink`, the border of each picture is paper, and `tell` gets a sentence about what was found. `skip` gets a sentence
    about each picture that cannot be read, which is left out; without `skip` it is an error. `part` chooses where a
    file has digits for training and for tests, as Keras' mnist.npz.

    Raises DataError naming the file when it is missing, in no supported form, or wrong.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if scale <= 0:
        raise DataError(f"scale is {scale:g}, want a number above 0")
    try:
        if read := _reader_of_pictures(path):
            if scale != FULL_INK:
                raise DataError(f"{path}: scale is {scale:g}, want {FULL_INK:g}: pictures always run from 0 to 255")
            return read(path, ink, tell, skip)
        digits = _read_numbers(path, scale, part, tell)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    return Digits(255 - digits.images, digits.labels) if ink == "black" else digits


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or an operating system's own."""
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def _reader_of_pictures(path: Path) -> Callable[..., Digits] | None:
    """The reader of pictures at a path that exists; None if there are numbers. Readers are imported when needed."""
    if path.is_dir():
        if not any(entry.is_dir() and not is_hidden(entry.name) for entry in path.iterdir()):
            return None
        from training.data.folder import read_folder

        return read_folder
    if path.name.lower().endswith(".parquet"):
        from training.data.picture_table import has_pictures, read_picture_table

        return read_picture_table if has_pictures(path) else None
    return None


def _read_numbers(path: Path, scale: float, part: Part, tell: Callable[[str], None]) -> Digits:
    name = path.name.lower()
    if path.is_dir() or IDX_NAME.search(name):
        return _read_idx_pair(images_in(path) if path.is_dir() else path, scale)
    if name.endswith((".csv", ".csv.gz")):
        from training.data.tabular import read_csv

        return read_csv(path, scale)
    if name.endswith(".parquet"):
        from training.data.tabular import read_parquet

        return read_parquet(path, scale)
    if name.endswith(".npz"):
        from training.data.npz import read_npz

        return read_npz(path, scale, part, tell)
    raise DataError(f"{path}: not a supported form, want {FORMS}")


def images_in(folder: Path) -> Path:
    """The images file of the only IDX pair in a folder."""
    found = sorted(entry for entry in folder.iterdir() if IMAGES_NAME.search(entry.name) and not is_hidden(entry.name))
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
