"""Keys that open routes: kept as hashes in a file, read anew whenever that changes, compared in constant time.

A line of the file is a name, what the key opens, and the SHA-256 of the key, with spaces between. `manage` opens
everything, and is meant where only name and hash stand. `python -m service.auth NAME [RIGHT]` makes a key.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from service.errors import Forbidden, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Right: TypeAlias = Literal["manage", "predict", "metrics"]
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
DIGEST: Final = re.compile("[0-9a-f]{64}")
HEADER: Final = "Authorization: Bearer KEY"
log = logging.getLogger(__name__)


class Key(NamedTuple):
    """A key: whose it is, what it opens, and its SHA-256 in hexadecimal."""

    name: str
    right: str
    digest: str


class Keys:
    """The keys in a file; without one nothing that wants a key can be opened."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[int, int, int] | None = None
        self._keys: list[Key] = []
        self._told = ""

    def check(self, authorization: str | None, right: Right) -> str:
        """The name of the key that an Authorization header brings.

        Raises Forbidden where there are no keys, or where the key does not open what is wanted, and Unauthorised for
        a key that is missing or not known.
        """
        kind = "management" if right == "manage" else right
        keys = self._current(kind)
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            message = f"a {kind} key is missing"
            raise Unauthorised("missing_key", message, field="Authorization", wanted=HEADER)
        digest = digest_of(key.strip()).encode()
        matching = [kept for kept in keys if hmac.compare_digest(kept.digest.encode(), digest)]  # all of them, always
        if not matching:
            raise Unauthorised("wrong_key", f"the {kind} key is not known", field="Authorization", wanted=HEADER)
        if not any(kept.right in ("manage", right) for kept in matching):
            found, wanted = matching[0].right, f"a key for {right}"
            message = f"the key of {matching[0].name} is for {found}, want {wanted}"
            raise Forbidden("wrong_right", message, field="Authorization", found=found, wanted=wanted)
        return matching[0].name

    def _current(self, kind: str) -> list[Key]:
        if self._path is None:
            raise Forbidden(f"{kind}_closed", f"{kind} is closed: no file of keys is set (DIGITS_KEYS_FILE)")
        try:
            stat = self._path.stat()
            now = stat.st_mtime_ns, stat.st_size, stat.st_ino
            if now != self._read:
                self._keys, self._read, self._told = list(_keys(self._path.read_text())), now, ""
        except (OSError, UnicodeDecodeError) as error:
            self._tell(f"the file of keys cannot be read, and opens nothing: {error}")
            self._keys, self._read = [], None
            raise Forbidden(
                f"{kind}_closed", f"{kind} is closed: the file of keys cannot be read; the log of the service says why"
            ) from None
        return self._keys

    def _tell(self, problem: str) -> None:
        """To the log, once."""
        if problem != self._told:
            log.error("%s", problem)
        self._told = problem


def _keys(text: str) -> Iterator[Key]:
    """The keys of a file. A line that is none opens nothing, and is told to the log by its number."""
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
    """SHA-256 in hexadecimal. Keys are random and long: a slow hash, as for passwords, would only cost their owners."""
    return hashlib.sha256(key.encode()).hexdigest()
