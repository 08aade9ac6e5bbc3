"""Where the files of a store are: one small interface to a folder and to a bucket of object storage."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SCHEMES: Final = ("s3", "gs", "az")
CACHE_LIMIT_BYTES: Final = 2 * 2**30
VERSION: Final = re.compile(r"[1-9][0-9]{0,18}")
"""The name of a version: a number without zeros before it."""


class Content(NamedTuple):
    """The content of a file, and a tag that changes when the file is replaced."""

    data: bytes
    tag: str


class Storage(Protocol):
    """The files of a store, by keys: paths inside the store such as `lenet/aliases.json`.

    Files are read and replaced whole. Versions are folders of files that never change; `version` is a number.
    Every method raises a StoreError when a file or the storage cannot be read.
    """

    @property
    def location(self) -> str:
        """The store's path or URL, as errors name it."""
        ...

    @property
    def folder(self) -> Path:
        """A folder of this machine for what is not shared, such as compiled code; for a store on disk, the store."""
        ...

    @property
    def locks(self) -> bool:
        """Whether `changing` keeps other processes from replacing files. Otherwise `replace` alone decides."""
        ...

    def address(self, key: str) -> str:
        """The path or URL of a file, as errors name it."""
        ...

    def folders(self, key: str = "") -> list[str]:
        """Names of the folders in a folder; none if it does not exist."""
        ...

    def files(self, key: str) -> dict[str, str]:
        """Names of the files in a folder, with their tags; none if it does not exist."""
        ...

    def read(self, key: str, limit_bytes: int | None = None) -> Content | None:
        """A file; None if it does not exist. Raises UnreadableFile, also for more than `limit_bytes` bytes."""
        ...

    def replace(self, key: str, data: bytes, tag: str | None) -> bool:
        """Writes a file if its tag still is `tag`, or if it does not exist for None (compare-and-swap).

        False: another process has written it before. Atomic where `changing` does not lock.
        """
        ...

    def changing(self, model: str) -> AbstractContextManager[object]:
        """Keeps other processes from changing the files of a model while the block runs, if the storage can."""
        ...

    def versions(self, model: str) -> list[int]:
        """Versions of a model, ascending; none if it does not exist."""
        ...

    def taken(self, model: str) -> list[int]:
        """Numbers that no new version can have: those of versions, and of versions that are being published."""
        ...

    def has_version(self, model: str, version: int) -> bool:
        """Whether a version exists."""
        ...

    def size_bytes(self, model: str, version: int) -> int:
        """The size of a version's files without the manifest."""
        ...

    def staging(self, model: str) -> AbstractContextManager[Path]:
        """A new folder of this machine to write a version in; it is removed afterwards."""
        ...

    def add_version(self, model: str, version: int, staged: Path) -> bool:
        """Adds the version in a folder of `staging`, whole or not at all; False if the number is taken."""
        ...

    def remove_version(self, model: str, version: int, unused: Callable[[], bool]) -> bool:
        """Removes a version, whole or not at all; False if it is not there, or `unused` says no.

        Without locks `unused` is called when the version can no longer be found, and the version comes back after a no.
        """
        ...

    def open_version(self, model: str, version: int) -> AbstractContextManager[Path]:
        """A folder of this machine with a version's files, each compared with the manifest. Raises CorruptVersion."""
        ...


def open_storage(path: str, cache: Path | None, cache_limit_bytes: int) -> Storage:
    """The storage at a path or URL, with the cache for files of object storage; None is the default folder.

    Raises StoreError for a URL of another kind.
    """
    scheme, separator, rest = path.partition("://")
    if not separator:
        from training.store.local_storage import LocalStorage

        return LocalStorage(Path(path))
    if scheme not in SCHEMES:
        raise StoreError(f"store '{scheme}://…': want a folder, s3://, gs:// or az://")
    if not rest.strip("/"):
        raise StoreError(f"store {path!r} names no bucket, want {scheme}://BUCKET/PREFIX")
    if re.search(r"[?#]|^[^/]*@", rest):  # obstore would leave it out, and a password must not be shown
        raise StoreError(f"store '{scheme}://…' has a user, ? or #, want {scheme}://BUCKET/PREFIX")
    from training.store.file_cache import FileCache
    from training.store.object_storage import ObjectStorage

    return ObjectStorage(path.rstrip("/"), FileCache(cache or default_cache(), cache_limit_bytes))


def default_cache() -> Path:
    """The folder `digits` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "digits"
