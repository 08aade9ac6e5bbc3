"""Files that survive a crash: replaced atomically, flushed to the disk, guarded by locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def flush(path: Path) -> None:
    """Waits until the file is on the disk (fsync); for a folder, until its list of names is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flushes a folder and everything below it."""
    for child in folder.iterdir():
        if child.is_dir():
            flush_tree(child)
        else:
            flush(child)
    flush(folder)


def replace_file(path: Path, content: bytes) -> None:
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


def read_limited(path: Path, limit_bytes: int | None = None) -> bytes:
    """The content of a file. Raises OSError for more than `limit_bytes` bytes, and when it cannot be read."""
    if limit_bytes is None:
        return path.read_bytes()
    with path.open("rb") as file:
        content: bytes = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, too_large(limit_bytes), str(path))
    return content


def too_large(limit_bytes: int) -> str:
    """The reason why a file with more than `limit_bytes` bytes is not read."""
    return f"it has more than {limit_bytes:,} bytes, which is the limit"


def check_room(folder: Path, wanted_bytes: int) -> None:
    """Raises OSError when fewer than `wanted_bytes` bytes are free on the folder's disk."""
    if (free_bytes := shutil.disk_usage(folder).free) < wanted_bytes:
        raise OSError(
            errno.ENOSPC, f"no room on the disk: want {wanted_bytes:,} bytes, {free_bytes:,} are free", str(folder)
        )


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of a folder while the block runs; yields whether it is held: without `wait` it may be False.

    The lock is advisory (flock on the folder itself), leaves no file behind and ends with the process that holds it.
    """
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


@contextmanager
def folder_aside(parent: Path) -> Iterator[Path]:
    """A new hidden folder to write in, removed afterwards unless renamed; those of dead writers are removed, too."""
    with ExitStack() as held:
        with locked(parent):  # or another writer could take the new folder for a dead writer's before it is locked
            for child in parent.glob(".new-*"):
                # its writer may rename it at this moment
                with suppress(FileNotFoundError), locked(child, wait=False) as dead:
                    if dead:
                        shutil.rmtree(child)
            aside = parent / f".new-{uuid.uuid4().hex}"
            aside.mkdir()
            held.enter_context(locked(aside))
        try:
            yield aside
        finally:
            with suppress(FileNotFoundError):  # it was renamed
                shutil.rmtree(aside)
