"""Request timeouts: the X-Timeout-Ms header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.errors import WrongValue, shortened

if TYPE_CHECKING:
    from service.headers import Headers

HEADER: Final = "X-Timeout-Ms"
WANTED: Final = "a number of milliseconds greater than 0, in decimal, as JSON writes it"
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""RFC 8259, section 6. Python's `float` also accepts 1_000, inf, and digits of any script."""


def timeout_of(headers: Headers, limit_ms: int) -> float:
    """The timeout of a request in seconds: X-Timeout-Ms, capped at `limit_ms`, also its default. Raises WrongValue."""
    given = headers.get(b"x-timeout-ms")
    if given is None:
        return limit_ms / 1000
    text = given.decode("latin-1")
    is_number = NUMBER.fullmatch(text)
    timeout_ms = float(text) if is_number else 0.0
    if timeout_ms <= 0:
        found = shortened(text)
        code = "out_of_range" if is_number else "wrong_type"
        raise WrongValue(code, f"{HEADER} is {found!r}, want {WANTED}", field=HEADER, found=found, wanted=WANTED)
    return min(timeout_ms, limit_ms) / 1000
