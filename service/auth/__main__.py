"""`python -m service.auth NAME [RIGHT]`: generates a key and its line for the key file."""

from __future__ import annotations

import secrets
import sys
from typing import Final

from service.auth.keys import RIGHTS, digest_of

KEY_BYTES: Final = 32
USAGE: Final = "usage: python -m service.auth NAME [manage|predict|metrics] >> FILE   (a name of letters, digits and _)"


def main(name: str, right: str) -> None:
    """Generates a key: writes its line for the key file to stdout, and the key itself to stderr."""
    key = secrets.token_urlsafe(KEY_BYTES)
    sys.stdout.write(f"{name} {right} {digest_of(key)}\n")
    sys.stderr.write(f"the key of {name}, shown this once: {key}\n")


if __name__ == "__main__":
    name, right = (*sys.argv[1:], "manage")[:2] if len(sys.argv) in (2, 3) else ("", "")
    if not name.isidentifier() or right not in RIGHTS:
        sys.exit(USAGE)
    main(name, right)
