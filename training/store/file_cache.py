"""A cache of verified files on this machine, by their SHA-256; several processes may share it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from training.filesystem import folder_aside
from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES: Final = "files"
SHA256: Final = re.compile(r"[0-9a-f]{64}")


class FileCache:
    """Files in a folder, at most `limit_bytes` of them: those that were used least recently are removed.

    Nobody trusts a cached file: its SHA-256 is computed whenever it is used.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder.expanduser().absolute()
        self._limit_bytes = limit_bytes

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A new folder on the disk of the cache, removed afterwards. Raises StoreError where nothing can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = folder_aside(self.folder)
            folder = aside.__enter__()
        except OSError as error:
            raise StoreError(
                f"the cache {self.folder} cannot be written: {error.strerror or error}; DIGITS_CACHE names another one"
            ) from None
        try:
            yield folder
        finally:
            aside.__exit__(None, None, None)

    def get(self, sha256: str, target: Path) -> bool:
        """Puts the file with this SHA-256 at a path in a folder of `new_folder`; False if the cache does not have it.

        A damaged file is removed from the cache.
        """
        if not SHA256.fullmatch(sha256):  # it may come from anybody, and becomes a path
            return False
        path = self._path(sha256)
        try:
            _link(path, target)
        except FileNotFoundError:
            return False
        if hash_file(target) == sha256:
            with suppress(OSError):  # another process has removed it, or the cache is read-only
                os.utime(path)
            return True
        target.unlink()
        path.unlink(missing_ok=True)
        return False

    def add(self, sha256: str, path: Path) -> None:
        """Takes in a file of a folder of `new_folder`, whose SHA-256 is this one."""
        place = self._path(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{uuid.uuid4().hex}")  # beside its source: `shrink` of other processes looks at places
        _link(path, aside)
        aside.replace(place)

    def shrink(self) -> None:
        """Removes the files that were used least recently, until the others are within the limit."""
        found = []
        for path in (self.folder / FILES).glob("*/*"):
            with suppress(FileNotFoundError):
                used = path.stat()
                found.append((used.st_mtime, used.st_size, path))
        size_bytes = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if size_bytes <= self._limit_bytes:
                return
            path.unlink(missing_ok=True)
            size_bytes -= size

    def _path(self, sha256: str) -> Path:
        return self.folder / FILES / sha256[:2] / sha256


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(path: Path, target: Path) -> None:
    """Makes a file appear at another path too: by a hard link, or as a copy on file systems without links."""
    try:
        target.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, target)
