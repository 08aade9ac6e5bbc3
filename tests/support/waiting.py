"""Waiting for a condition."""

import time


def eventually(condition, timeout_s: float = 5.0, step_s: float = 0.002) -> None:
    """Waits until the condition holds; looks again every `step_s`: seldom where looking is work."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(step_s)
