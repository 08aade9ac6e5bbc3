"""Aliases of versions (champion, previous, challenger), and the log of their changes: who, when and why.

<store>/<model>/aliases.json      champion, previous, challenger -> version
<store>/<model>/changes.jsonl     a line for each change, oldest first
"""

from __future__ import annotations

import datetime
import getpass
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from training.filesystem import locked, read_limited, replace_file
from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etils import epath

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES, CHANGES = "aliases.json", "changes.jsonl"
LIMIT_BYTES: Final = 2**20
"""Maximum size of the file of aliases."""
FIRST: Final = "the first version"


class AliasMoved(StoreError):
    """An alias stands for another version than the caller expected."""


class Change(msgspec.Struct, frozen=True):
    """A line of the log: the version of an alias before and after a change; None is no version."""

    when: datetime.datetime
    by: str
    alias: str
    before: int | None = msgspec.field(name="from")
    after: int | None = msgspec.field(name="to")
    why: str


class Aliases:
    """The aliases of the model in a folder. Nothing is kept in memory."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder

    def read(self) -> dict[str, int]:
        """Aliases and the versions they stand for. Raises StoreError for a damaged or too large file."""
        path = self._folder / ALIASES
        return {} if (content := _read(path, LIMIT_BYTES)) is None else _decoded(path, content)

    def changes(self) -> list[Change]:
        """Every change there has been, oldest first. Raises StoreError for a damaged file."""
        path = self._folder / CHANGES
        try:
            return msgspec.json.Decoder(Change).decode_lines(_read(path) or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from None

    @contextmanager
    def changing(self, alias: str, why: str) -> Iterator[dict[str, int]]:
        """Yields the aliases, to be changed in place under a lock; the change of `alias` is logged.

        The log is written first: after a crash it may have a line too many, but no change is missing from it.
        """
        with locked(self._folder):
            before = self.read()
            after = dict(before)
            yield after
            if after == before:
                return
            change = Change(
                datetime.datetime.now(datetime.UTC), operator(), alias, before.get(alias), after.get(alias), why
            )
            line = msgspec.json.Encoder().encode_lines([change])
            replace_file(self._folder / CHANGES, (_read(self._folder / CHANGES) or b"") + line)
            replace_file(self._folder / ALIASES, msgspec.json.format(msgspec.json.encode(after)))


def operator() -> str:
    """The author of a change: `DIGITS_OPERATOR`, or the user and the machine."""
    if named := os.environ.get("DIGITS_OPERATOR"):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, a user often has a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _read(path: epath.Path, limit_bytes: int | None = None) -> bytes | None:
    try:
        return read_limited(path, limit_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def _decoded(path: epath.Path, content: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(content, type=dict[str, int])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged: {error}") from None
