"""Waiting for a condition."""

import time


def eventually(condition, timeout_s: float = 5.0) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.002)
