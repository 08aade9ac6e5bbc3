"""Request context: id, trace, model version, stage timings."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.headers import Headers

REQUEST_ID: Final = b"x-request-id"
WELL_FORMED_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
"""An X-Request-Id of another form is replaced, since ids are written into response headers and logs."""
TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}((?<!^00.{53})-.*)?"
)
"""W3C Trace Context, section 3.2."""

_process, _number = secrets.token_hex(6).encode(), count(1)


class RequestContext:
    """Context of one request: id, trace, answering model and version, stage timings.

    The seconds of each stage are added to `stage_seconds`. `stages` are (name, begin, end) in `time.perf_counter()`
    seconds, or None, which records no stages. The callback of `batch_timer` may be called on other threads.
    Not thread-safe: one event loop only.
    """

    status = 0
    model: str | None = None
    version: int | None = None
    stages: list[tuple[str, float, float]] | None = None
    span: Any = None

    def __init__(self, headers: Headers, stage_seconds: dict[str, float]) -> None:
        self.began_s = perf_counter()
        self._headers, self.stage_seconds = headers, stage_seconds
        given = headers.get(REQUEST_ID)
        self.id = given if given and WELL_FORMED_ID.fullmatch(given) else b"%b%08x" % (_process, next(_number))

    @property
    def traceparent(self) -> bytes | None:
        """The `traceparent` header, if it is valid."""
        given = self._headers.get(b"traceparent")
        return given if given and TRACEPARENT.fullmatch(given) else None

    @property
    def tracestate(self) -> bytes | None:
        """The `tracestate` header."""
        return self._headers.get(b"tracestate")

    @property
    def trace_id(self) -> str | None:
        """The trace id of this service's span, or else of `traceparent`: 32 hexadecimal digits."""
        if self.span is not None:
            return format(self.span.get_span_context().trace_id, "032x")
        traceparent = self.traceparent
        return traceparent[3:35].decode() if traceparent else None

    def batch_timer(self) -> Callable[[float, float], None]:
        """An `on_batch` callback for the engine: records each batch, and the queue time from now to the first batch."""
        stages = self.stages = self.stages or []
        waiting_since_s = [perf_counter()]

        def record(began_s: float, ended_s: float) -> None:
            if waiting_since_s:
                stages.append(("queue", waiting_since_s.pop(), began_s))
            stages.append(("compute", began_s, ended_s))

        return record


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("request_context", default=None)
"""The request context of the current task."""


def note_stage(stage: str, began_s: float) -> None:
    """Counts a stage (`decode` or `encode`) that began at `began_s` in the current request, if there is one."""
    context = CURRENT.get()
    if context is not None:
        ended_s = perf_counter()
        context.stage_seconds[stage] += ended_s - began_s
        if context.stages is not None:
            context.stages.append((stage, began_s, ended_s))
