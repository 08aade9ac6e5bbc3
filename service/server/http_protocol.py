"""One HTTP/1.1 connection: uvicorn's httptools protocol with timeouts, size limits and errors of the common form."""

from __future__ import annotations

import re
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.headers import HEAD_LIMIT_BYTES, HEADERS_LIMIT
from service.http.error_responses import encode_problem
from service.http.media_types import JSON
from service.private_api import require_members

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

PRESENCE_S: Final = 1.0
"""How long a connection over the connection limit may stay open: for its first byte and for its error answer."""
FRAMING_PER_BYTE: Final = 8
"""Bytes of chunked framing that each byte of a body allows for; a chunk of one byte has five."""
FINAL_STATUS: Final = tuple(f"HTTP/1.1 {digit}".encode() for digit in range(2, 6))
UPGRADE: Final = re.compile(rb"\r\nupgrade(?=:)", re.IGNORECASE)
"""An Upgrade header. RFC 9110, 7.8, lets a server ignore it; httptools would not parse what follows such a head as
HTTP. Java's client sends it with its first request unless told otherwise."""
UVICORN: Final = ">=0.54,<0.55"
"""The versions that are known to have the members below, which are not public; the same as in pyproject.toml."""
require_members(
    "uvicorn",
    UVICORN,
    HttpToolsProtocol,
    *("connection_made", "data_received", "pause_writing", "resume_writing", "shutdown"),
    *("on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
    *("transport", "flow", "pipeline", "cycle", "headers", "parser", "_start_asgi_task"),
    *("loop", "logger", "server_state", "connections"),
)
require_members("uvicorn", UVICORN, RequestResponseCycle, "keep_alive", "response_started", "response_complete")
require_members("uvicorn", UVICORN, FlowControl, "resume_reading")
require_members("uvicorn", UVICORN, ServerState, "connections", "total_requests")


class ConnectionLimits(NamedTuple):
    """How long a client may take, in seconds, and how many connections this process may have."""

    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connections: int


class Refusal(NamedTuple):
    """An error answer after which the connection closes: its code, and the whole answer, head and body."""

    code: str
    answer: bytes


def refusal(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    found: str | None = None,
    wanted: str | None = None,
    headers: str = "",
) -> Refusal:
    """An error of the common form as an answer of its own; `headers` are further lines of its head."""
    body = encode_problem(code, message, field, found, wanted)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
        f"x-content-type-options: nosniff\r\n{headers}connection: close\r\n\r\n"
    )
    return Refusal(code, head.encode() + body)


MALFORMED: Final = refusal(
    400, "invalid_http", "the request is not HTTP/1.1 as RFC 9112 has it; the connection is closed"
)
UPGRADE_WITH_BODY: Final = refusal(
    400,
    "invalid_http",
    "a request with Upgrade has a body, want one without Upgrade: only HTTP/1.1 is spoken; the connection is closed",
    field="Upgrade",
    found="Upgrade and a body",
    wanted="no Upgrade, or no body",
)
TRAILERS: Final = refusal(
    400,
    "invalid_http",
    "the body is followed by trailers, want none: headers stand before it; the connection is closed",
    found="trailers",
    wanted="none",
)
FRAMING_TOO_LARGE: Final = refusal(
    400,
    "invalid_http",
    f"the body has more than {HEAD_LIMIT_BYTES} bytes between its chunks; the connection is closed",
    wanted=f"at most {HEAD_LIMIT_BYTES} bytes",
)
HEAD_TOO_LARGE: Final = refusal(
    431,
    "head_too_large",
    f"request line and headers have more than {HEAD_LIMIT_BYTES} bytes; the connection is closed",
    wanted=f"at most {HEAD_LIMIT_BYTES} bytes",
)
TOO_MANY_HEADERS: Final = refusal(
    431,
    "too_many_headers",
    f"the request has more than {HEADERS_LIMIT} headers; the connection is closed",
    wanted=f"at most {HEADERS_LIMIT} headers",
)
TOO_MANY_CONNECTIONS: Final = refusal(
    503,
    "too_many_connections",
    "this process has as many connections as it takes; try again later",
    headers="retry-after: 1\r\n",
)


class MalformedRequest(HttpParserError):
    """A request that the parser would accept, and that is refused nevertheless."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class CoalescingTransport:
    """A transport that delays the head of an answer and sends it together with the first bytes of the body.

    So an answer takes one system call and wakes its client once. ASGI allows a server to delay "http.response.start".
    All other methods are those of the wrapped transport.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self.is_closing = transport.is_closing  # called for each answer: without the detour over __getattr__

    def write(self, data: bytes) -> None:
        """Delays data that looks like the head of an answer; sends other data, behind a delayed head if any."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif data.startswith(FINAL_STATUS) and data.endswith(b"\r\n\r\n"):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Sends the delayed head, if there is one."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Closes the transport when everything is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class SharedState(ServerState):
    """The state that all connections of a server share. Not thread-safe: one event loop only."""

    draining = False

    def drain(self) -> None:
        """Makes the next answer of every connection its last one, with `Connection: close`."""
        self.draining = True
        for connection in self.connections:
            cast("HttpProtocol", connection).end_with_last_request()


class Phase(Enum):
    """What a connection waits for; `timeouts` says for how long, and what happens then."""

    OVER_LIMIT = auto()
    """There were too many connections when this one was made: it is refused with its first byte."""
    CONNECTED = auto()
    """The first byte of the first request."""
    HEAD = auto()
    """The rest of a request's head; for the first request, counted from the time of the connection."""
    BODY = auto()
    """The rest of a request's body."""
    ANSWERING = auto()
    """The application's answer to a complete request."""
    IDLE = auto()
    """The first byte of the next request (keep-alive)."""
    REFUSED = auto()
    """The answers to earlier requests, behind which the error answer is sent; what the client sends is ignored."""
    UNREAD = auto()
    """The client, which has to read what was sent (backpressure), or the last bytes of a connection that closes. It is
    beside the phases above: a connection returns to one of those when the client has read."""


OVER_LIMIT, CONNECTED, HEAD, BODY, ANSWERING, IDLE, REFUSED, UNREAD = Phase
"""Looked up once: Python 3.11 takes 0.2 µs for a member of an enum, and a request passes through four phases."""


class Timeout(NamedTuple):
    """How long a phase may last, in seconds, and what happens to a connection in which it has lasted longer."""

    limit_s: float
    expire: Callable[[HttpProtocol], None]


class ByteCounts:
    """Bytes received of the current request that are limited here. Bodies are limited where they are read."""

    __slots__ = ("framing", "head")

    def __init__(self) -> None:
        self.head = 0
        """Of the head."""
        self.framing = 0
        """Around the body: sizes of chunks and whatever else stands between these, less an allowance for the body."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. Not thread-safe: one event loop only.

    `with_limits` makes the class that a server uses. The server calls `check_timeouts` of every connection now and
    then, which costs less than a timer for each request.
    """

    transport: CoalescingTransport  # type: ignore[assignment]
    server_state: SharedState
    connection_limit: ClassVar[int]
    timeouts: ClassVar[Mapping[Phase, Timeout]]

    _phase = CONNECTED
    _since_s = 0.0
    """When the phase began, in the loop's time."""
    _unread_since_s: float | None = None
    """When the phase UNREAD began, if the connection is in that."""
    _refusal = b""
    """The error answer of a connection in the phase REFUSED."""

    @classmethod
    def with_limits(cls, limits: ConnectionLimits, count_refusal: Callable[[str], None]) -> type[HttpProtocol]:
        """The class of connections with these limits; `count_refusal` is called with the code of each refusal."""
        members = {
            "connection_limit": limits.connections,
            "timeouts": timeouts(limits),
            "count_refusal": staticmethod(count_refusal),
        }
        return type("LimitedHttpProtocol", (cls,), members)

    @staticmethod
    def count_refusal(code: str, /) -> None:
        """Counts an error answer that no application has seen."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Registers the connection."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport)))
        self._received = ByteCounts()
        self._since_s = self.loop.time()
        if len(self.connections) > self.connection_limit:
            self._phase = OVER_LIMIT

    def on_response_complete(self) -> None:
        """Starts the next request of the pipeline after an answer, or sends the refusal behind the last one.

        The same as uvicorn's, but without its keep-alive timer.
        """
        self.transport.flush()  # an answer without a body is complete with its head
        last = not self.pipeline
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                cycle, app = self.pipeline.pop()
                self._start_asgi_task(cycle, app)
            elif self._phase is ANSWERING:
                self._phase, self._since_s = IDLE, self.loop.time()
        if self._phase is REFUSED and last:
            self._send_refusal()

    def pause_writing(self) -> None:
        """Backpressure: too much has been sent that the client has not read."""
        super().pause_writing()
        self._unread_since_s = self.loop.time()

    def resume_writing(self) -> None:
        """End of backpressure: the client has read."""
        super().resume_writing()
        self._unread_since_s = None

    def check_timeouts(self, now_s: float) -> None:
        """Ends the connection if its phase has lasted longer than `timeouts` allow; `now_s` is the loop's time."""
        if self._unread_since_s is None and self.transport.is_closing():
            self._unread_since_s = now_s
        unread_since_s = self._unread_since_s
        phase, since_s = (self._phase, self._since_s) if unread_since_s is None else (UNREAD, unread_since_s)
        timeout = self.timeouts.get(phase)
        if timeout and now_s - since_s > timeout.limit_s:
            timeout.expire(self)

    def abort(self) -> None:
        """Closes the connection at once; what the client has not read is lost."""
        self.transport.abort()

    def close(self) -> None:
        """Closes the connection without an error answer: no request has begun."""
        self.transport.close()

    def refuse_slow_head(self) -> None:
        """Refuses a request whose head does not end."""
        self._refuse(_too_slow("head", self.timeouts[HEAD].limit_s))

    def refuse_slow_body(self) -> None:
        """Refuses a request whose body does not end, or closes the connection if the request is answered already."""
        if self.cycle.response_complete:
            self.transport.close()
        else:
            self._refuse(_too_slow("body", self.timeouts[BODY].limit_s))

    def shutdown(self) -> None:
        """Closes the connection behind the answer that is due; a TLS client gets a second for its close_notify."""
        super().shutdown()
        if self.transport.is_closing() and self.transport.get_extra_info("ssl_object"):
            self.loop.call_later(PRESENCE_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, or refuses the request."""
        phase = self._phase
        if phase is BODY:
            self._received.framing += len(data)
        elif phase is REFUSED:
            return
        elif phase is OVER_LIMIT:
            self._refuse(TOO_MANY_CONNECTIONS)
            return
        else:
            if phase is IDLE or phase is ANSWERING:
                self._since_s = self.loop.time()
            self._phase = HEAD
            if self._received.head > HEAD_LIMIT_BYTES:
                self._refuse(HEAD_TOO_LARGE)
                return
            self._received.head += len(data)
            end = data.find(b"\r\n\r\n")  # a body, which may be long, is not searched
            end = len(data) if end < 0 else end
            if data.find(b"pgrade", 0, end) >= 0:
                data = UPGRADE.sub(b"\r\nIgnored", data[:end]) + data[end:]
        try:
            self._parse(data)
        except HttpParserError as error:
            self.logger.warning("Invalid HTTP request received.")
            cause = error if isinstance(error, MalformedRequest) else error.__context__  # what a callback has raised
            self._refuse(cause.refusal if isinstance(cause, MalformedRequest) else MALFORMED)

    def _parse(self, data: bytes | memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:  # the parser stops behind such a head; HTTP/1.1 goes on there
                data = memoryview(data)[upgrade.args[0] :]
            else:
                break
        if self._received.framing > HEAD_LIMIT_BYTES:
            raise MalformedRequest(FRAMING_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header. Raises MalformedRequest for a trailer, which RFC 9110, 6.5.1, forbids to merge with those."""
        if self._phase is BODY:
            raise MalformedRequest(TRAILERS)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Adds a part of the body, which allows for some framing."""
        self._received.framing -= (1 + FRAMING_PER_BYTE) * len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Starts the application, or queues the request behind an earlier one.

        Raises MalformedRequest for too many headers, and for a body that the parser would take for the next request:
        one behind an Upgrade header that came in several pieces, or behind another request.
        """
        if len(self.headers) > HEADERS_LIMIT:
            raise MalformedRequest(TOO_MANY_HEADERS)
        if self.parser.should_upgrade() and any(map(_announces_body, self.headers)):
            raise MalformedRequest(UPGRADE_WITH_BODY)
        earlier = self.cycle
        super().on_headers_complete()
        self._phase, self._since_s = BODY, self.loop.time()
        if self.server_state.draining:
            if earlier:
                earlier.keep_alive = True  # without it uvicorn would close before this request, which came behind it
            self.end_with_last_request()

    def end_with_last_request(self) -> None:
        """Closes the connection after the last request that has come, unless another one comes before its answer."""
        if self.cycle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Ends a request: the next bytes are the head of another one."""
        self._phase = ANSWERING
        self._received.head = self._received.framing = 0
        super().on_message_complete()

    def _refuse(self, refusal: Refusal) -> None:
        """Stops parsing, and sends the error answer as soon as all earlier complete requests are answered."""
        in_body = self._phase is BODY
        self._phase, self._refusal = REFUSED, refusal.answer
        self.count_refusal(refusal.code)
        self.flow.resume_reading()  # data that is not read would make the kernel reset the closed connection
        if in_body and self.pipeline:
            self.pipeline.popleft()  # the newest request, whose body is not complete; an earlier one is still computed
        elif in_body or self.cycle is None or self.cycle.response_complete:
            self._send_refusal()

    def _send_refusal(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._refusal)
            self.transport.close()


def timeouts(limits: ConnectionLimits) -> dict[Phase, Timeout]:
    """What ends each phase that lasts too long. A phase that is not named waits for the application, not a client."""
    return {
        OVER_LIMIT: Timeout(PRESENCE_S, HttpProtocol.close),
        CONNECTED: Timeout(limits.header_timeout_s, HttpProtocol.close),
        HEAD: Timeout(limits.header_timeout_s, HttpProtocol.refuse_slow_head),
        BODY: Timeout(limits.body_timeout_s, HttpProtocol.refuse_slow_body),
        IDLE: Timeout(limits.keep_alive_timeout_s, HttpProtocol.close),
        UNREAD: Timeout(limits.body_timeout_s, HttpProtocol.abort),
    }


def _too_slow(part: str, limit_s: float) -> Refusal:
    message = f"the {part} of the request has not ended after {limit_s:g} s; the connection is closed"
    return refusal(408, "too_slow", message)


def _announces_body(header: tuple[bytes, bytes]) -> bool:
    name, value = header
    return name == b"transfer-encoding" or (name == b"content-length" and int(value) != 0)
