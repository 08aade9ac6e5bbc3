"""Names that versions of a model go by, and the record of who changed them, when and why.

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

from training.filesystem import locked, replace_file
from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etils import epath

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES, CHANGES = "aliases.json", "changes.jsonl"
FIRST: Final = "the first version"


class AliasMoved(StoreError):
    """An alias no longer stands for the version that somebody took it for."""


class Change(msgspec.Struct, frozen=True):
    """A line of the record: what an alias stood for, and stands for now; None is no version."""

    when: datetime.datetime
    by: str
    alias: str
    before: int | None = msgspec.field(name="from")
    after: int | None = msgspec.field(name="to")
    why: str


class Aliases:
    """The aliases of the model whose versions are in a folder. Nothing is kept in memory."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder

    def read(self) -> dict[str, int]:
        """Aliases and the versions they stand for. Raises StoreError for a damaged file."""
        path = self._folder / ALIASES
        return {} if (content := _read(path)) is None else _decoded(path, content)

    def changes(self) -> list[Change]:
        """Every change there has been, oldest first. Raises StoreError for a damaged file."""
        path = self._folder / CHANGES
        try:
            return msgspec.json.Decoder(Change).decode_lines(_read(path) or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from None

    @contextmanager
    def changing(self, alias: str, why: str) -> Iterator[dict[str, int]]:
        """The aliases to change in place, while nobody else does; what becomes of one of them is recorded.

        The record is written first: a crash leaves a line too many rather than a change that nobody can explain.
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
    """Who is at work: `DIGITS_OPERATOR`, or the user and the machine."""
    if named := os.environ.get("DIGITS_OPERATOR"):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _read(path: epath.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def _decoded(path: epath.Path, content: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(content, type=dict[str, int])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is damaged: {error}") from None
