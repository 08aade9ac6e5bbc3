"""How long a client is ready to wait."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from service.decode import shortened
from service.errors import WrongValue

if TYPE_CHECKING:
    from starlette.requests import Request

HEADER: Final = "X-Timeout-Ms"
WANTED: Final = "a number of milliseconds greater than 0"


def timeout_of(request: Request, limit_ms: int) -> float:
    """Seconds: what X-Timeout-Ms says, and the limit at most; the limit where it says nothing. Raises WrongValue."""
    text = request.headers.get("x-timeout-ms")
    if text is None:
        return limit_ms / 1000
    try:
        asked_ms = float(text)
    except ValueError:
        asked_ms = math.nan
    if not asked_ms > 0:
        found = shortened(text)
        code = "wrong_type" if math.isnan(asked_ms) else "out_of_range"
        raise WrongValue(code, f"{HEADER} is {found!r}, want {WANTED}", field=HEADER, found=found, wanted=WANTED)
    return min(asked_ms, limit_ms) / 1000
