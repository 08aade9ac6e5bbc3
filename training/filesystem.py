"""Files that survive a crash: replaced atomically, flushed to the disk, guarded by locks.

Paths are `epath.Path`s, so a store may lie on any file system that epath opens. Flushing and locking work on mounted
file systems only; elsewhere they do nothing, and a reader relies on the manifest of a version.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etils import epath


def is_mounted(path: epath.Path) -> bool:
    """Whether the path is on a mounted file system and not a URL such as `gs://…`."""
    return "://" not in os.fspath(path)


def flush(path: epath.Path) -> None:
    """Waits until the file is on the disk (fsync); for a folder, until its list of names is."""
    if is_mounted(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def flush_tree(folder: epath.Path) -> None:
    """Flushes a folder and everything below it."""
    for child in folder.iterdir():
        if child.is_dir():
            flush_tree(child)
        else:
            flush(child)
    flush(folder)


def replace_file(path: epath.Path, content: bytes) -> None:
    """Gives the file new content: a reader or a crash at any moment finds the old content or the new, no mixture."""
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        aside.write_bytes(content)
        flush(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def read_limited(path: epath.Path, limit_bytes: int | None = None) -> bytes:
    """The content of a file. Raises OSError for more than `limit_bytes` bytes, and when it cannot be read."""
    if limit_bytes is None:
        return path.read_bytes()
    with path.open("rb") as file:
        content: bytes = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"it has more than {limit_bytes:,} bytes, which is the limit", str(path))
    return content


def file_size_bytes(path: epath.Path) -> int:
    """The size of a file. Not `path.stat()`: epath looks up the owner's name, and in a container he may have none."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def check_room(folder: epath.Path, wanted_bytes: int) -> None:
    """Raises OSError when fewer than `wanted_bytes` bytes are free on the folder's disk."""
    if is_mounted(folder) and (free_bytes := shutil.disk_usage(folder).free) < wanted_bytes:
        raise OSError(
            errno.ENOSPC, f"no room on the disk: want {wanted_bytes:,} bytes, {free_bytes:,} are free", str(folder)
        )


@contextmanager
def locked(path: epath.Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of a folder while the block runs; yields whether it is held: without `wait` it may be False.

    The lock is advisory (flock on the folder itself), leaves no file behind and ends with the process that holds it.
    """
    if not is_mounted(path):
        yield True
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
