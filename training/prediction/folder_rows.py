"""Rows of a folder: the pictures in it and in its sub-folders, by name."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from training.data.digits import DataError
from training.data.load import is_hidden
from training.prediction.source import FILES_AT_ONCE, FORMS, Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PATH = "path"


class FolderRows:
    """The pictures below a folder, without hidden ones, sub-folders and files ordered by name; see `Source`."""

    kept = pa.schema([(PATH, pa.string())])
    pictures = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = sum(1 for _ in _pictures(path))  # not kept: there may be millions
        if not self.rows:
            raise DataError(f"{path}: holds no pictures ({', '.join(ENDINGS)}), want {FORMS}")

    def files(self) -> Iterator[Path]:
        return _pictures(self._path)

    def count(self) -> int:
        return self.rows

    def read(self, first: int, stop: int | None) -> Iterator[Files]:
        pictures = islice(_pictures(self._path), first, stop)
        while files := [*islice(pictures, FILES_AT_ONCE)]:
            names = [os.fsencode(file.relative_to(self._path)).decode(errors="replace") for file in files]
            yield Files([*files], pa.table([pa.array(names)], schema=self.kept))


def _pictures(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        ordered = sorted((entry.name, entry.is_dir()) for entry in entries if not is_hidden(entry.name))
    for name, is_folder in ordered:
        if is_folder:
            yield from _pictures(folder / name)
        elif name.lower().endswith(ENDINGS):
            yield folder / name
