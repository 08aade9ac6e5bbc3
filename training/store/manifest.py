"""The manifest of a version: the SHA-256 of every file in it.

Orbax does not notice bit rot: a flipped bit in a checkpoint loads as wrong weights. So a version that differs from its
manifest is not loaded, and the manifest has a SHA-256 of itself.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from training.errors import DigitsError
from training.filesystem import read_limited

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.store.storage import Storage

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES: Final = 4 * 2**20
VERSION_LIMIT_BYTES: Final = 2**30
"""Size of all files of a version: a network with as many weights as are allowed has 0.8 of it."""


class StoreError(DigitsError):
    """The base class of errors of the store."""


class UnreadableFile(StoreError):
    """A file of the store is there, but too large or not readable."""


class CorruptVersion(StoreError):
    """A file of a version differs from the manifest, or an answer from the golden predictions."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: dict[str, str]
    """SHA-256 of every file of the version but the manifest, by the path inside the version."""
    sha256: str
    """SHA-256 of `files`."""


def write(folder: Path) -> None:
    """Writes the manifest of all files in a folder."""
    (folder / MANIFEST).write_bytes(_encode(_hashes(folder)))


def verify(folder: Path) -> None:
    """Compares every file of a folder with its manifest. Raises CorruptVersion naming the first that differs.

    Raises StoreError, before a file is read, when all of them have more than VERSION_LIMIT_BYTES.
    """
    size_bytes = sum(_size_bytes(folder / name) for name in files(folder))
    if size_bytes > VERSION_LIMIT_BYTES:
        raise StoreError(f"{folder} has {size_bytes:,} bytes in its files, want at most {VERSION_LIMIT_BYTES:,}")
    wanted, found = parse(content(folder / MANIFEST, MANIFEST_LIMIT_BYTES), f"{folder}"), _hashes(folder)
    for name in sorted({*wanted, *found}):
        compare(f"{folder / name}", found.get(name), wanted.get(name))


def read_verified(storage: Storage, version: str, name: str, limit_bytes: int) -> bytes:
    """The content of one file of a version, which is named by its key, such as `lenet/3`.

    Raises CorruptVersion when it differs from the manifest or has more than `limit_bytes` bytes.
    """
    wanted = parse(stored(storage, f"{version}/{MANIFEST}", MANIFEST_LIMIT_BYTES), storage.address(version)).get(name)
    found = stored(storage, f"{version}/{name}", limit_bytes)
    compare(storage.address(f"{version}/{name}"), sha256(found), wanted)
    return found


def files(folder: Path, under: str = "") -> Iterator[str]:
    """The paths of a version's files inside it, without the manifest."""
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise CorruptVersion(f"{folder} cannot be read: {error.strerror or error}") from None
    for child in children:
        name = f"{under}{child.name}"
        if child.is_dir():
            yield from files(child, f"{name}/")
        elif name != MANIFEST:
            yield name


def parse(encoded: bytes, version: str) -> dict[str, str]:
    """The SHA-256 of every file by a manifest; `version` is where it is, for errors. Raises CorruptVersion."""
    try:
        hashes = msgspec.json.decode(encoded, type=_Manifest).files
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptVersion(f"{version}/{MANIFEST} is damaged: {error}") from None
    if _encode(hashes) != encoded:
        raise CorruptVersion(f"{version}/{MANIFEST} is damaged: it differs from its own SHA-256")
    for name in hashes:
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            raise CorruptVersion(f"{version}/{MANIFEST} names {name!r}, want paths inside the version")
    return hashes


def content(path: Path, limit_bytes: int | None = None, address: str = "") -> bytes:
    """The content of a file of a version; `address` names it in errors, if it is another than the path.

    Raises CorruptVersion when it is missing, cannot be read, or has more than `limit_bytes` bytes.
    """
    try:
        return read_limited(path, limit_bytes)
    except FileNotFoundError:
        raise CorruptVersion(f"{address or path} is missing") from None
    except OSError as error:
        raise CorruptVersion(f"{address or path} cannot be read: {error.strerror or error}") from None


def compare(path: str, found: str | None, wanted: str | None) -> None:
    """Raises CorruptVersion when the SHA-256 of a file, None without the file, is not that of the manifest."""
    if found == wanted:
        return
    if found is None:
        raise CorruptVersion(f"{path} is missing, the manifest wants it")
    if wanted is None:
        raise CorruptVersion(f"{path} is not in the manifest")
    raise CorruptVersion(f"{path} is damaged: its SHA-256 is {found}, the manifest wants {wanted}")


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def stored(storage: Storage, key: str, limit_bytes: int) -> bytes:
    """A file of a version in a storage. Raises CorruptVersion when it is missing, too large or cannot be read."""
    try:
        read = storage.read(key, limit_bytes)
    except UnreadableFile as error:
        raise CorruptVersion(str(error)) from None
    if read is None:
        raise CorruptVersion(f"{storage.address(key)} is missing")
    return read.data


def _encode(hashes: dict[str, str]) -> bytes:
    manifest = _Manifest(hashes, sha256(msgspec.json.encode(hashes)))
    return msgspec.json.format(msgspec.json.encode(manifest))


def _hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(content(folder / name)) for name in sorted(files(folder))}


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it says why
        return 0
