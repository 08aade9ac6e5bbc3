"""Rate limit: how many corrections a client may send in a minute, in bounded memory."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import TYPE_CHECKING, Final

from service.errors import TooManyCorrections

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE_S: Final = 60.0
LIMIT_CLIENTS: Final = 10_000
"""Clients that are remembered; of more, the one that has been quiet for longest is forgotten."""
IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that tell clients apart: the others a client chooses itself."""


class RateLimit:
    """A token bucket for each client, of `per_minute` corrections that come back evenly (GCRA); 0 is no limit.

    Not thread-safe: one event loop only.
    """

    def __init__(self, per_minute: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock_s = per_minute, clock_s
        self._full_s: dict[str, float] = {}
        """For each client, in the order of their last corrections, when its bucket will be full again."""

    def __len__(self) -> int:
        """The number of clients that are remembered."""
        return len(self._full_s)

    def take(self, client: str) -> None:
        """Counts a correction of a client. Raises TooManyCorrections, and counts none then."""
        if not self._per_minute:
            return
        now_s, interval_s = self._clock_s(), MINUTE_S / self._per_minute
        full_s = max(now_s, self._full_s.pop(client, now_s))
        wait_s = full_s + interval_s - MINUTE_S - now_s
        refused = wait_s > 1e-6  # rounding
        self._full_s[client] = full_s if refused else full_s + interval_s
        if len(self._full_s) > LIMIT_CLIENTS:
            del self._full_s[next(iter(self._full_s))]
        if refused:
            raise TooManyCorrections(self._per_minute, ceil(wait_s))


def client_of_address(address: str | None) -> str:
    """What clients are told apart by: the address, of IPv6 its first 64 bits; an empty text if it is not known."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)))
