"""A folder of pictures per class: sub-folders 0…9 of PNG, JPEG, WebP, GIF, BMP or TIFF files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.data.digits import DataError
from training.data.load import is_hidden
from training.data.pictures import Labelled, read_pictures
from training.images import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from training.data.digits import Digits
    from training.picture import Ink

NAMES = tuple(str(digit) for digit in range(CLASSES))


def read_folder(
    path: Path,
    ink: Ink | None = None,
    tell: Callable[[str], None] = lambda _: None,
    skip: Callable[[str], None] | None = None,
) -> Digits:
    """Digits from the pictures in the sub-folders 0…9 of `path`, ordered by class and then by name.

    For `ink`, `tell` and `skip` see `read_pictures`. Hidden files, files of operating systems, and files beside the
    sub-folders, are ignored; a class may be missing. Raises DataError naming the sub-folder or the picture that is not
    as it should be.
    """
    classes = [entry for entry in _visible(path) if entry.is_dir()]
    for folder in classes:
        if folder.name not in NAMES:
            raise DataError(f"{folder}: is not a class, want sub-folders named 0 to 9")
    pictures = [(picture, int(folder.name)) for folder in classes for picture in _visible(folder)]
    if not pictures:
        raise DataError(f"{path}: holds no pictures, want sub-folders named 0 to 9 with pictures inside")
    for picture, _ in pictures:
        if picture.is_dir():
            raise DataError(f"{picture}: is a folder, want a picture")
    return read_pictures(path, (Labelled(str(file), file, digit) for file, digit in pictures), ink, tell, skip)


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder by name, without hidden ones."""
    return (entry for entry in sorted(folder.iterdir()) if not is_hidden(entry.name))
