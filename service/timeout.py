"""How long a client is ready to wait."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from service.decode import shortened
from service.errors import WrongValue

if TYPE_CHECKING:
    from service.headers import Headers

HEADER: Final = "X-Timeout-Ms"
WANTED: Final = "a number of milliseconds greater than 0"


def timeout_of(headers: Headers, limit_ms: int) -> float:
    """Seconds: what X-Timeout-Ms says, and the limit at most; the limit where it says nothing. Raises WrongValue."""
    given = headers.get(b"x-timeout-ms")
    if given is None:
        return limit_ms / 1000
    text = given.decode("latin-1")
    try:
        asked_ms = float(text)
    except ValueError:
        asked_ms = math.nan
    if not asked_ms > 0:
        found = shortened(text)
        code = "wrong_type" if math.isnan(asked_ms) else "out_of_range"
        raise WrongValue(code, f"{HEADER} is {found!r}, want {WANTED}", field=HEADER, found=found, wanted=WANTED)
    return min(asked_ms, limit_ms) / 1000
