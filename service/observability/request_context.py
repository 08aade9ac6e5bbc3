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
"""Any other id is replaced: ids are written into response headers and logs."""
TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}((?<!^00.{53})-.*)?"
)
"""W3C Trace Context, section 3.2."""

_process, _number = secrets.token_hex(6).encode(), count(1)


class RequestContext:
    """Context of one request, with its headers by name. The seconds of each stage are added to `seconds`.

    `stages` are (name, begin, end) as `time.perf_counter` counts; None records no stages.
    """

    status = 0
    model: str | None = None
    version: int | None = None
    stages: list[tuple[str, float, float]] | None = None
    span: Any = None

    def __init__(self, headers: Headers, seconds: dict[str, float]) -> None:
        self.began_s = perf_counter()
        self._headers, self._seconds = headers, seconds
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
        """32 hexadecimal digits: the trace of this service's span, or else the client's."""
        if self.span is not None:
            return format(self.span.get_span_context().trace_id, "032x")
        traceparent = self.traceparent
        return traceparent[3:35].decode() if traceparent else None

    def note(self, stage: str, began_s: float) -> None:
        """Counts the seconds of a stage that began at `began_s` and ends now."""
        ended_s = perf_counter()
        self._seconds[stage] += ended_s - began_s
        if self.stages is not None:
            self.stages.append((stage, began_s, ended_s))

    def batch_timer(self) -> Callable[[float, float], None]:
        """A callback for the engine: records the wait in its queue, from now to the first batch, and each batch."""
        stages = self.stages = self.stages or []
        waiting_since_s = [perf_counter()]

        def record(began_s: float, ended_s: float) -> None:
            if waiting_since_s:
                stages.append(("queue", waiting_since_s.pop(), began_s))
            stages.append(("compute", began_s, ended_s))

        return record


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("request_context", default=None)
"""The context of the request that the current task answers."""


def note_stage(stage: str, began_s: float) -> None:
    """Counts a stage (`decode` or `encode`) of the current request, if there is one."""
    context = CURRENT.get()
    if context is not None:
        context.note(stage, began_s)
