"""Keys that open the management routes: kept as hashes in a file, read anew each time, compared in constant time.

A line of the file is a name and the SHA-256 of a key, with a space between. `python -m service.keys NAME` makes a key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys
from typing import TYPE_CHECKING, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import Forbidden, Unauthorised
from service.routes.current import current_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_BYTES: Final = 32
HEADER: Final = "Authorization: Bearer KEY"
bearer: Final = HTTPBearer(auto_error=False, description="A management key")
given: Final = Depends(bearer)


async def require_key(request: Request, credentials: HTTPAuthorizationCredentials | None = given) -> str:
    """The name of the key that a request brings. Raises Forbidden where no key is set, Unauthorised for a wrong one."""
    path = current_settings(request).keys_file
    if path is None:
        raise Forbidden("management_closed", "management is closed: no file of keys is set (DIGITS_KEYS_FILE)")
    if credentials is None:
        raise Unauthorised("missing_key", "a management key is missing", field="Authorization", wanted=HEADER)
    digest = _digest(credentials.credentials)
    matching = [name for name, kept in _keys(path) if hmac.compare_digest(kept.encode(), digest.encode())]
    if not matching:
        raise Unauthorised("wrong_key", "the management key is not known", field="Authorization", wanted=HEADER)
    return matching[0]


def _keys(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Forbidden(
            "management_closed", f"management is closed: the file of keys cannot be read: {error}"
        ) from None
    for line in lines:
        name, _, digest = line.strip().rpartition(" ")
        if name and not line.startswith("#"):
            yield name, digest


def _digest(key: str) -> str:
    """Keys are random and long: a slow hash, as for passwords, would only slow down those who have one."""
    return hashlib.sha256(key.encode()).hexdigest()


def main(name: str) -> None:
    """Makes a key: prints the line for the file of keys, and to people the key itself."""
    key = secrets.token_urlsafe(KEY_BYTES)
    sys.stdout.write(f"{name} {_digest(key)}\n")
    sys.stderr.write(f"the key of {name}, shown this once: {key}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isidentifier():
        sys.exit("usage: python -m service.keys NAME >> FILE   (a name of letters, digits and _)")
    main(sys.argv[1])
