"""A store in a folder, which several machines may share: files are replaced, and versions appear, by renaming."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from training.filesystem import flush, flush_tree, folder_aside, locked, read_limited, replace_file
from training.store import manifest
from training.store.manifest import UnreadableFile
from training.store.storage import VERSION, Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class LocalStorage:
    """A store in a folder: `storage.Storage` says what the methods do. Locks and flushed files hold on any mount."""

    locks: Final = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()  # Orbax refuses a relative path

    @property
    def location(self) -> str:
        return str(self.folder)

    def address(self, key: str) -> str:
        return str(self.folder / key)

    def folders(self, key: str = "") -> list[str]:
        folder = self.folder / key
        return [child.name for child in folder.iterdir() if child.is_dir()] if folder.is_dir() else []

    def files(self, key: str) -> dict[str, str]:
        folder = self.folder / key
        if not folder.is_dir():
            return {}
        return {child.name: tag for child in folder.iterdir() if not child.is_dir() and (tag := _tag(child))}

    def read(self, key: str, limit_bytes: int | None = None) -> Content | None:
        path = self.folder / key
        try:
            tag = _tag(path)
            return Content(read_limited(path, limit_bytes), tag or "")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from None

    def replace(self, key: str, data: bytes, tag: str | None) -> bool:
        path = self.folder / key
        if _tag(path) != tag:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
        return True

    def changing(self, model: str) -> AbstractContextManager[object]:
        return locked(self.folder / model)

    def versions(self, model: str) -> list[int]:
        return sorted(int(name) for name in self.folders(model) if VERSION.fullmatch(name))

    taken = versions

    def has_version(self, model: str, version: int) -> bool:
        return (self.folder / model / str(version)).is_dir()

    def size_bytes(self, model: str, version: int) -> int:
        folder = self.folder / model / str(version)
        return sum((folder / name).stat().st_size for name in manifest.files(folder))

    @contextmanager
    def staging(self, model: str) -> Iterator[Path]:
        folder = self.folder / model
        folder.mkdir(parents=True, exist_ok=True)
        with folder_aside(folder) as aside:
            yield aside

    def add_version(self, model: str, version: int, staged: Path) -> bool:
        flush_tree(staged)
        target = self.folder / model / str(version)
        try:
            staged.rename(target)  # the file system refuses it where another writer's version is
        except OSError:
            if not target.exists():
                raise
            return False
        flush(target.parent)
        return True

    def remove_version(self, model: str, version: int, unused: Callable[[], bool]) -> bool:
        if not unused():
            return False
        gone = self.folder / model / f".new-{uuid.uuid4().hex}"  # as those of dead writers, in case this one dies
        try:
            (self.folder / model / str(version)).rename(gone)
        except FileNotFoundError:
            return False
        flush(gone.parent)
        shutil.rmtree(gone, ignore_errors=True)  # a publisher may be removing it, too
        return True

    @contextmanager
    def open_version(self, model: str, version: int) -> Iterator[Path]:
        folder = self.folder / model / str(version)
        manifest.verify(folder)
        yield folder


def _tag(path: Path) -> str | None:
    """What changes when a file is replaced by another one; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
