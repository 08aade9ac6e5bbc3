"""Aliases of versions (champion, previous, challenger), and the log of their changes: who, when and why.

<store>/<model>/aliases.json      champion, previous, challenger -> version
<store>/<model>/changes.jsonl     a line for each change, oldest first
"""

from __future__ import annotations

import datetime
import getpass
import os
import random
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.store.storage import Content, Storage

Result = TypeVar("Result")
CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES, CHANGES = "aliases.json", "changes.jsonl"
LIMIT_BYTES: Final = 2**20
"""Maximum size of the file of aliases."""
FIRST: Final = "the first version"
CHANGED_US: Final = "changed_us"
"""Entry beside the aliases in object storage: the time of the last change in µs since 1970. S3's ETag is a hash of the
content: without this entry, a compare-and-swap would not notice aliases that were changed and changed back."""
PATIENCE_S: Final = 60.0
"""Time that a change is tried again while other processes change the same aliases."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Maximum pauses before the second attempt, and before late ones."""
UNLOG_ATTEMPTS: Final = 20


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
    """The aliases of a model in a storage. Nothing is kept in memory."""

    def __init__(self, storage: Storage, model: str) -> None:
        self._storage = storage
        self._model = model
        self._aliases, self._changes = f"{model}/{ALIASES}", f"{model}/{CHANGES}"

    def read(self) -> dict[str, int]:
        """Aliases and the versions they stand for. Raises StoreError for a damaged or too large file."""
        return self._decoded(self._storage.read(self._aliases, LIMIT_BYTES))

    def touch(self) -> dict[str, int]:
        """The aliases, after which nobody can change those of before: without locks, they are written anew."""
        while True:
            read = self._storage.read(self._aliases, LIMIT_BYTES)
            aliases = self._decoded(read)
            content = self._encoded(aliases, datetime.datetime.now(datetime.UTC))
            if self._storage.locks or self._storage.replace(self._aliases, content, read.tag if read else None):
                return aliases

    def changes(self) -> list[Change]:
        """Every change there has been, oldest first. Raises StoreError for a damaged file."""
        read = self._storage.read(self._changes)
        try:
            return msgspec.json.Decoder(Change).decode_lines(read.data if read else b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._storage.address(self._changes)} is damaged: {error}") from None

    def change(self, alias: str, why: str, change: Callable[[dict[str, int]], Result]) -> Result:
        """Calls `change`, which changes the aliases in place, and returns its result; the change of `alias` is logged.

        When other processes change the aliases at the same time, `change` is called again, with theirs.

        The log is written first: after a crash it may have a line too many, but no change is missing from it. Raises
        StoreError when others have changed the aliases for PATIENCE_S.
        """
        end_s, pause_s = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S
        late = b""  # the line of an attempt that came too late
        with self._storage.changing(self._model):
            try:
                while True:
                    read = self._storage.read(self._aliases, LIMIT_BYTES)
                    before = self._decoded(read)
                    after = dict(before)
                    result = change(after)
                    if after == before:
                        return result
                    now = datetime.datetime.now(datetime.UTC)
                    line = _encode(Change(now, operator(), alias, before.get(alias), after.get(alias), why))
                    if self._log(line, instead_of=late):
                        late = b""  # if the next line fails, nobody knows whether the aliases were changed
                        if self._storage.replace(self._aliases, self._encoded(after, now), read.tag if read else None):
                            return result
                        late = line
                    if time.monotonic() > end_s:
                        raise StoreError(
                            f"{self._storage.address(self._aliases)} was changed by others for {PATIENCE_S:g} s on end"
                        )
                    time.sleep(random.uniform(0, pause_s))  # noqa: S311 - so that others do not try at the same time
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            finally:
                if late:
                    self._unlog(late)

    def _log(self, line: bytes, instead_of: bytes = b"") -> bool:
        """Appends a line to the log, and removes another one; False if another process has written the log."""
        read = self._storage.read(self._changes)
        return self._storage.replace(
            self._changes, (read.data.replace(instead_of, b"") if read else b"") + line, read.tag if read else None
        )

    def _unlog(self, line: bytes) -> None:
        """Removes a line from the log, if that is possible: one too many is harmless."""
        for _ in range(UNLOG_ATTEMPTS):
            with suppress(StoreError):
                if self._log(b"", instead_of=line):
                    return
            time.sleep(random.uniform(0, FIRST_PAUSE_S))  # noqa: S311

    def _encoded(self, aliases: dict[str, int], now: datetime.datetime) -> bytes:
        stamp = {} if self._storage.locks else {CHANGED_US: round(now.timestamp() * 1e6)}
        return msgspec.json.format(msgspec.json.encode(aliases | stamp))

    def _decoded(self, read: Content | None) -> dict[str, int]:
        if read is None:
            return {}
        try:
            aliases = msgspec.json.decode(read.data, type=dict[str, int])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._storage.address(self._aliases)} is damaged: {error}") from None
        aliases.pop(CHANGED_US, None)
        return aliases


def operator() -> str:
    """The author of a change: `DIGITS_OPERATOR`, or the user and the machine."""
    if named := os.environ.get("DIGITS_OPERATOR"):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, a user often has a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _encode(change: Change) -> bytes:
    return msgspec.json.Encoder().encode_lines([change])
