"""Errors of the engine: backpressure (a full queue), deadlines, failed batches, a closed or dead engine."""

from __future__ import annotations


class QueueFull(Exception):
    """Backpressure: `waiting` rows are in the queue, `limit` is the most that may wait.

    At the rate of the last batches the queue is empty after `retry_after_s`.
    """

    def __init__(self, *, waiting: int, limit: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting} rows are waiting, and the limit is {limit}")
        self.waiting, self.limit, self.retry_after_s = waiting, limit, retry_after_s


class Closed(Exception):
    """The engine takes no more requests, or was closed before this one was computed."""

    def __init__(self) -> None:
        super().__init__("the engine is closed")


class EngineDead(Exception):
    """A thread of the engine has died; nothing will be computed any more."""

    def __init__(self) -> None:
        super().__init__("a thread of the engine has died")


class DeadlineExceeded(Exception):
    """The deadline passed before all rows of the request were computed."""


class PredictFailed(Exception):
    """`predict` raised for this request alone. The reason is the `__cause__`."""
