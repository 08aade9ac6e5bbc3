"""Errors of the engine: backpressure (a full queue), deadlines, failed batches, a closed or dead engine."""

from __future__ import annotations


class QueueFull(Exception):
    """Backpressure: `waiting` rows are in the queue, and `limit` is the limit, for the request's deadline or for all.

    `retry_after_s`: seconds until the queue is empty at the rate of the last full batches.
    """

    def __init__(self, *, waiting: int, limit: int, retry_after_s: int, for_deadline: bool = False) -> None:
        self.limit_is = f"the limit {'for this deadline ' if for_deadline else ''}is {limit}"
        super().__init__(f"{waiting} rows are waiting, and {self.limit_is}")
        self.waiting, self.limit, self.retry_after_s = waiting, limit, retry_after_s


class Closed(Exception):
    """The engine is closed to new requests, or was closed before it computed this request."""

    def __init__(self) -> None:
        super().__init__("the engine is closed")


class EngineDead(Exception):
    """A thread of the engine has died; the engine computes no more rows."""

    def __init__(self) -> None:
        super().__init__("a thread of the engine has died")


class DeadlineExceeded(Exception):
    """The deadline passed before all rows of the request were computed."""


class PredictFailed(Exception):
    """`predict` raised an exception, the `__cause__`, for a batch of this request alone."""
