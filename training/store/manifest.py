"""The manifest of a version: the SHA-256 of every file in it.

Orbax does not notice bit rot: a flipped bit in a checkpoint loads as wrong weights. So a version that differs from its
manifest is not loaded, and the manifest has a SHA-256 of itself.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from training.errors import DigitsError
from training.filesystem import file_size_bytes, read_limited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etils import epath

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES: Final = 4 * 2**20
VERSION_LIMIT_BYTES: Final = 2**30
"""Size of all files of a version: a network with as many weights as are allowed has 0.8 of it."""


class StoreError(DigitsError):
    """The base class of errors of the store."""


class CorruptVersion(StoreError):
    """A file of a version differs from the manifest, or an answer from the golden predictions."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: dict[str, str]
    """SHA-256 of every file of the version but the manifest, by the path inside the version."""
    sha256: str
    """SHA-256 of `files`."""


def write(folder: epath.Path) -> None:
    """Writes the manifest of all files in a folder."""
    (folder / MANIFEST).write_bytes(_encode(_hashes(folder)))


def verify(folder: epath.Path) -> None:
    """Compares every file of a folder with its manifest. Raises CorruptVersion naming the first that differs.

    Raises StoreError, before a file is read, when all of them have more than VERSION_LIMIT_BYTES.
    """
    size_bytes = sum(_size_bytes(folder / name) for name in files(folder))
    if size_bytes > VERSION_LIMIT_BYTES:
        raise StoreError(f"{folder} has {size_bytes:,} bytes in its files, want at most {VERSION_LIMIT_BYTES:,}")
    wanted, found = _read(folder), _hashes(folder)
    for name in sorted({*wanted, *found}):
        _compare(folder / name, found.get(name), wanted.get(name))


def read_verified(folder: epath.Path, name: str, limit_bytes: int) -> bytes:
    """The content of one file.

    Raises CorruptVersion when it differs from the manifest or has more than `limit_bytes` bytes.
    """
    wanted = _read(folder).get(name)
    content = _content(folder / name, limit_bytes)
    _compare(folder / name, _sha256(content), wanted)
    return content


def files(folder: epath.Path, under: str = "") -> Iterator[str]:
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


def _read(folder: epath.Path) -> dict[str, str]:
    path = folder / MANIFEST
    content = _content(path, MANIFEST_LIMIT_BYTES)
    try:
        hashes = msgspec.json.decode(content, type=_Manifest).files
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptVersion(f"{path} is damaged: {error}") from None
    if _encode(hashes) != content:
        raise CorruptVersion(f"{path} is damaged: it differs from its own SHA-256")
    return hashes


def _encode(hashes: dict[str, str]) -> bytes:
    manifest = _Manifest(hashes, _sha256(msgspec.json.encode(hashes)))
    return msgspec.json.format(msgspec.json.encode(manifest))


def _hashes(folder: epath.Path) -> dict[str, str]:
    return {name: _sha256(_content(folder / name)) for name in sorted(files(folder))}


def _size_bytes(path: epath.Path) -> int:
    try:
        return file_size_bytes(path)
    except OSError:  # reading it says why
        return 0


def _content(path: epath.Path, limit_bytes: int | None = None) -> bytes:
    try:
        return read_limited(path, limit_bytes)
    except FileNotFoundError:
        raise CorruptVersion(f"{path} is missing") from None
    except OSError as error:
        raise CorruptVersion(f"{path} cannot be read: {error.strerror or error}") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _compare(path: epath.Path, found: str | None, wanted: str | None) -> None:
    if found == wanted:
        return
    if found is None:
        raise CorruptVersion(f"{path} is missing, the manifest wants it")
    if wanted is None:
        raise CorruptVersion(f"{path} is not in the manifest")
    raise CorruptVersion(f"{path} is damaged: its SHA-256 is {found}, the manifest wants {wanted}")
