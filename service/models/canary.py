"""Canary: a challenger that answers a share of the requests, disabled if it fails too often or is too slow."""

from __future__ import annotations

import hashlib
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.models.loaded_version import LoadedVersion
    from service.settings import ServiceSettings

WINDOW: Final = 200
"""Number of last requests of a challenger over which failures and latency are counted."""
SLOW_LIMIT: Final = 0.05
"""Maximum share of the requests in the window that may exceed the latency limit."""
log = logging.getLogger("uvicorn.error")


class Canary:
    """One challenger as a canary. `taken_out` is the reason for disabling it, or None.

    Not thread-safe: one event loop only.
    """

    def __init__(self, challenger: LoadedVersion, settings: ServiceSettings) -> None:
        self.challenger = challenger
        self.taken_out: str | None = None
        self._share = settings.canary_share
        self._failures_limit = settings.canary_failures_limit
        self._latency_limit_s = settings.canary_latency_limit_ms / 1000
        self._salt = f"{challenger.name} {challenger.version}".encode()
        self._failed: deque[bool] = deque(maxlen=WINDOW)
        self._slow: deque[bool] = deque(maxlen=WINDOW)
        challenger.metrics.set_canary_out(False)

    def selects(self, client: bytes | None) -> bool:
        """Whether the challenger answers a request of this client: sticky by client, random without a client (None)."""
        if self.taken_out or not self._share:
            return False
        return (random.random() if client is None else self._hash(client)) < self._share  # noqa: S311 - no secret

    def note(self, *, failed: bool, seconds: float) -> None:
        """Counts a request, and disables the canary if too many requests in the window failed or were slow."""
        self._failed.append(failed)
        self._slow.append(seconds > self._latency_limit_s)
        if sum(self._failed) > self._failures_limit * WINDOW:
            self._disable(self._failed, "failed", self._failures_limit)
        elif sum(self._slow) > SLOW_LIMIT * WINDOW:
            self._disable(self._slow, f"took longer than {self._latency_limit_s * 1000:.0f} ms", SLOW_LIMIT)

    def _hash(self, client: bytes) -> float:
        """A hash of the client in [0, 1), salted with the challenger so that each challenger selects other clients."""
        return int.from_bytes(hashlib.blake2b(client, digest_size=7, salt=self._salt[-16:]).digest()) / 2**56

    def _disable(self, bad: deque[bool], how: str, limit: float) -> None:
        if not self.taken_out:
            self.taken_out = (
                f"{sum(bad)} of its last {len(bad)} requests {how}, want {limit * WINDOW:g} of {WINDOW} at most"
            )
            title = f"{self.challenger.name} version {self.challenger.version}"
            log.error("%s is taken out as a canary: %s", title, self.taken_out)
            self.challenger.metrics.set_canary_out(True)
