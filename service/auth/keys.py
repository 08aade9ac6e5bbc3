"""API keys and their rights: kept as SHA-256 hashes in a key file, compared in constant time.

A line of the key file is a name, a right, and the SHA-256 of the key in hexadecimal, with spaces between. The right
`manage` includes all others, and is the default when a line has only name and hash. A thread reads the file again every
second. `python -m service.auth NAME [RIGHT]` generates a key.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat
import threading
import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from service.errors import Forbidden, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Right: TypeAlias = Literal["manage", "predict", "metrics"]
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
DIGEST: Final = re.compile("[0-9a-f]{64}")
HEADER: Final = "Authorization: Bearer KEY"
LIMIT_BYTES: Final = 2**20
"""Maximum size of the key file."""
INTERVAL_S: Final = 1.0
"""Seconds between two readings of the key file: so long a revoked key is still accepted."""
STALE_S: Final = 10.0
"""Seconds without a finished reading, as on a network disk that hangs, after which no key is accepted."""
log = logging.getLogger(__name__)


class Key(NamedTuple):
    """A line of the key file: the owner's name, the right, and the key's SHA-256 in hexadecimal."""

    name: str
    right: str
    digest: str


class Keys:
    """The keys of a key file; without a file every route that requires a key is closed.

    The file is read at once, and from `start` to `close` again every second. A check does not touch the disk.
    Thread-safe.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._content: bytes | None = None
        self._keys: list[Key] | None = None
        """None while the file cannot be read."""
        self._logged = ""
        self._read_s = 0.0
        """Time of the last finished reading in `time.monotonic()` seconds."""
        self._stop: threading.Event | None = None
        self.reread()

    def start(self) -> None:
        """Starts the thread that rereads the file."""
        if self._path is not None:
            self._read_s, self._stop = time.monotonic(), threading.Event()
            threading.Thread(target=self._follow, args=(self._stop,), name="keys", daemon=True).start()

    def close(self) -> None:
        """Stops the thread without waiting for it: the disk may hang."""
        if self._stop:
            self._stop.set()
        self._stop = None

    def reread(self) -> None:
        """Reads the file, and parses it if its content has changed. Blocks as long as the disk does."""
        if self._path is None:
            return
        try:
            content = _read(self._path)
            if content != self._content:
                self._keys, self._content = list(_parse(content.decode())), content
            self._logged = ""
        except (OSError, UnicodeDecodeError) as error:
            self._keys = self._content = None
            self._log_once(f"the file of keys cannot be read, so no key is accepted: {error}")
        self._read_s = time.monotonic()

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL_S):
            self.reread()

    def check(self, authorization: str | None, right: Right) -> str:
        """The name of the owner of the key in an Authorization header.

        Raises Forbidden if there is no readable key file or the key does not have the right, and Unauthorised if the
        key is missing or unknown.
        """
        kind = "management" if right == "manage" else right
        keys, key = self._current(kind), _key_of(authorization)
        if not key:
            message = f"a {kind} key is missing"
            raise Unauthorised("missing_key", message, field="Authorization", wanted=HEADER)
        matching = _matching(keys, key)
        if not matching:
            raise Unauthorised("wrong_key", f"the {kind} key is not known", field="Authorization", wanted=HEADER)
        if not any(kept.right in ("manage", right) for kept in matching):
            found, wanted = matching[0].right, f"a key for {right}"
            message = f"the key of {matching[0].name} is for {found}, want {wanted}"
            raise Forbidden("wrong_right", message, field="Authorization", found=found, wanted=wanted)
        return matching[0].name

    def allows(self, authorization: str | None, right: Right) -> bool:
        """Whether the key in an Authorization header has a right."""
        try:
            self.check(authorization, right)
        except (Forbidden, Unauthorised):
            return False
        return True

    def owner(self, authorization: str | None) -> str | None:
        """The name of the owner of a key with any right; None if the key is missing or unknown."""
        try:
            return next((kept.name for kept in _matching(self._current("any"), _key_of(authorization))), None)
        except Forbidden:
            return None

    def _current(self, kind: str) -> list[Key]:
        """The keys of the file as last read. Raises Forbidden if there is no file, or if it cannot be read."""
        if self._path is None:
            raise Forbidden(f"{kind}_closed", f"{kind} is closed: no file of keys is set (DIGITS_KEYS_FILE)")
        keys = self._keys
        if self._stop and time.monotonic() - self._read_s > STALE_S:
            self._log_once(f"the file of keys cannot be read, so no key is accepted: {self._path} takes too long")
            keys = None
        if keys is None:
            raise Forbidden(
                f"{kind}_closed", f"{kind} is closed: the file of keys cannot be read; the log of the service says why"
            )
        return keys

    def _log_once(self, problem: str) -> None:
        """Logs a problem unless it was the last one logged."""
        if problem != self._logged:
            log.error("%s", problem)
        self._logged = problem


def _key_of(authorization: str | None) -> str:
    """The key in an Authorization header; empty if there is none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _matching(keys: list[Key], key: str) -> list[Key]:
    """The lines of the key file with this key; all are compared, in constant time."""
    digest = digest_of(key).encode()
    return [kept for kept in keys if hmac.compare_digest(kept.digest.encode(), digest)]


def _read(path: Path) -> bytes:
    """The content of a regular file. Raises OSError for anything else, and for more than LIMIT_BYTES."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # or a FIFO without a writer would block
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > LIMIT_BYTES:
        raise OSError(f"{path} has more than {LIMIT_BYTES} bytes")
    return content


def _parse(text: str) -> Iterator[Key]:
    """The keys of a key file. A malformed line is skipped, and its number is logged."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        name, right, digest = (words[0], "manage", words[1]) if len(words) == 2 else (*words, "", "")[:3]
        if len(words) > 3 or right not in RIGHTS or not DIGEST.fullmatch(digest):
            log.error("line %d of the file of keys is none, want NAME [%s] SHA-256", number, "|".join(RIGHTS))
            continue
        yield Key(name, right, digest)


def digest_of(key: str) -> str:
    """SHA-256 of a key in hexadecimal. Keys have 256 random bits: a slow hash, as for passwords, would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()
