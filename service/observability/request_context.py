"""What is seen of a request on its way: who it is, which version answered it, and how long each stage took."""

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
"""Other ids are replaced: what stands in a header and a log is no place for whatever a client likes."""
TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}((?<!^00.{53})-.*)?"
)
"""W3C Trace Context, section 3.2."""

_process, _number = secrets.token_hex(6).encode(), count(1)


class RequestContext:
    """One request, with its headers by name. `seconds` is where the times of its stages are added up.

    `stages` are names, beginnings and ends, as `time.perf_counter` counts; None keeps none of them.
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
        """Where the request stands in a trace of its client's, if it says so in a valid way."""
        given = self._headers.get(b"traceparent")
        return given if given and TRACEPARENT.fullmatch(given) else None

    @property
    def tracestate(self) -> bytes | None:
        """What goes with it."""
        return self._headers.get(b"tracestate")

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits: the trace that this service's own spans are in, or the client's."""
        if self.span is not None:
            return format(self.span.get_span_context().trace_id, "032x")
        traceparent = self.traceparent
        return traceparent[3:35].decode() if traceparent else None

    def note(self, stage: str, began_s: float) -> None:
        """Counts the time that a stage has taken, which ends now."""
        ended_s = perf_counter()
        self._seconds[stage] += ended_s - began_s
        if self.stages is not None:
            self.stages.append((stage, began_s, ended_s))

    def times_of_batches(self) -> Callable[[float, float], None]:
        """What the engine is to tell: until the first batch begins the request is in its queue, since now."""
        stages = self.stages = self.stages or []
        waiting_since_s = [perf_counter()]

        def timed(began_s: float, ended_s: float) -> None:
            if waiting_since_s:
                stages.append(("queue", waiting_since_s.pop(), began_s))
            stages.append(("compute", began_s, ended_s))

        return timed


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("seen", default=None)
"""The request that is being answered here."""


def note_stage(stage: str, began_s: float) -> None:
    """Notes a stage of the current request, if there is one: `decode` or `encode`."""
    seen = CURRENT.get()
    if seen is not None:
        seen.note(stage, began_s)
