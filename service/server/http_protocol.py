"""One HTTP/1.1 connection: uvicorn's httptools protocol with timeouts, size limits and errors of the common form."""

from __future__ import annotations

import re
import socket
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.headers import HEAD_LIMIT_BYTES, HEADERS_LIMIT
from service.private_api import require_members
from service.server.client_transport import ClientTransport
from service.server.received import Received
from service.server.refusals import (
    FRAMING_TOO_LARGE,
    HEAD_TOO_LARGE,
    MALFORMED,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_HEADERS,
    TRAILERS,
    UPGRADE_WITH_BODY,
    MalformedRequest,
    Refusal,
    too_slow,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

PRESENCE_S: Final = 1.0
"""How long a connection over the connection limit may stay open: for its first byte and for its error answer."""
LINGER_S: Final = 5.0
"""How long the rest of a request is read and dropped after an answer that closes the connection. Without it, the kernel
resets the connection, and a client that sends its whole body before it reads never sees the answer (RFC 9112, 9.6)."""
TLS_LINGER_S: Final = 0.5
PROBE_S: Final = 0.05
"""How long the first answer to a client that has closed its half of the connection may take before it is probed."""
LONGEST_PROBE_S: Final = 1.0
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
TCP_CLOSE: Final = 7
"""A state of Linux's TCP_INFO: the connection was reset."""
EMPTY_LINES: Final = re.compile(rb"[\r\n]*")
"""What a server ignores before a request (RFC 9112, 2.2)."""
PIECES_AT_ONCE: Final = 256
"""A chunked body may be parsed in as many pieces before the event loop does something else."""
FRAMING_PER_BYTE: Final = 8
"""Bytes of chunked framing that each byte of a body allows for; a chunk of one byte has five."""
UPGRADE: Final = re.compile(rb"\r\nupgrade(?=:)", re.IGNORECASE)
"""An Upgrade header. RFC 9110, 7.8, lets a server ignore it; httptools would not parse what follows such a head as
HTTP. Java's client sends it with its first request unless told otherwise."""
UVICORN: Final = ">=0.54,<0.55"
"""The versions that are known to have the members below, which are not public; the same as in pyproject.toml."""
CYCLE: Final = ("keep_alive", "response_started", "response_complete", "disconnected", "message_event")
require_members(
    "uvicorn",
    UVICORN,
    HttpToolsProtocol,
    *("connection_made", "data_received", "pause_writing", "resume_writing", "shutdown"),
    *("on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
    *("transport", "flow", "cycle", "headers", "parser", "_start_asgi_task"),
    *("loop", "logger", "server_state", "connections"),
)
require_members("uvicorn", UVICORN, RequestResponseCycle, *CYCLE)
require_members("uvicorn", UVICORN, FlowControl, "pause_reading", "resume_reading")
require_members("uvicorn", UVICORN, ServerState, "connections", "total_requests")


class ConnectionLimits(NamedTuple):
    """How long a client may take, in seconds, and how many connections this process may have."""

    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connections: int


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
    LINGERING = auto()
    """The end of what the client sends, which is ignored: the last answer is sent, and the connection closes."""
    UNREAD = auto()
    """The client, which has to read what was sent (backpressure), or the last bytes of a connection that closes. It is
    beside the phases above: a connection returns to one of those when the client has read."""


OVER_LIMIT, CONNECTED, HEAD, BODY, ANSWERING, IDLE, LINGERING, UNREAD = Phase
"""Looked up once: Python 3.11 takes 0.2 µs for a member of an enum, and a request passes through four phases."""


class Timeout(NamedTuple):
    """How long a phase may last, in seconds, and what happens to a connection in which it has lasted longer."""

    limit_s: float
    expire: Callable[[HttpProtocol], None]


class HttpProtocol(HttpToolsProtocol):
    """One connection. Not thread-safe: one event loop only.

    Requests are parsed one at a time: what comes behind a request (pipelining) is held unparsed until the request is
    answered, and the socket is not read meanwhile. `with_limits` makes the class that a server uses. The server calls
    `check_timeouts` of every connection now and then, which costs less than a timer for each request.
    """

    transport: ClientTransport  # type: ignore[assignment]
    server_state: SharedState
    connection_limit: ClassVar[int]
    timeouts: ClassVar[Mapping[Phase, Timeout]]

    _phase = CONNECTED
    _since_s = 0.0
    """When the phase began, in the loop's time."""
    _unread_since_s: float | None = None
    """When the phase UNREAD began, if the connection is in that."""
    _held, _held_start = b"", 0
    """What has been read and is not parsed yet, from `_held_start` on."""
    _body_left = 0
    """Bytes of the body still to come, by Content-Length."""
    _keeps_alive = True
    """Whether the client of the last request wants more answers on the connection."""
    _client_has_sent_all = False

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
        super().connection_made(cast("asyncio.Transport", ClientTransport(transport, self._linger)))
        self._received = Received()
        self._since_s = self.loop.time()
        if len(self.connections) > self.connection_limit:
            self._phase = OVER_LIMIT

    def on_response_complete(self) -> None:
        """Waits for the next request, or parses the one that was held behind this one.

        The same as uvicorn's, but without its keep-alive timer and its queue of parsed requests.
        """
        self.transport.flush()  # an answer without a body is complete with its head
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._phase is ANSWERING:
            self._phase, self._since_s = IDLE, self.loop.time()
        if self._held:
            self._parse_held()
        else:
            self.flow.resume_reading()
            if self._client_has_sent_all:
                self.transport.close()

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
        self._refuse(too_slow("head", self.timeouts[HEAD].limit_s))

    def refuse_slow_body(self) -> None:
        """Refuses a request whose body does not end, or closes the connection if the request is answered already."""
        if self.cycle.response_complete:
            self.transport.abort()
        else:
            self._refuse(too_slow("body", self.timeouts[BODY].limit_s))

    def shutdown(self) -> None:
        """Closes the connection behind the answer that is due; a TLS client gets a second for its close_notify."""
        super().shutdown()
        if self._phase is LINGERING:
            self.transport.close()
        if self._held:  # the last request is not parsed yet
            self.cycle.keep_alive = self._keeps_alive
        if self.transport.is_closing() and self.transport.get_extra_info("ssl_object"):
            self.loop.call_later(PRESENCE_S, self.transport.abort)

    def _linger(self) -> bool:
        """Begins to linger if the client may still be sending when the connection is to close; says whether it does."""
        if self.server_state.draining or len(self.connections) > self.connection_limit:
            return False
        if self._phase is BODY or self._held:
            self._phase, self._since_s = LINGERING, self.loop.time()
            self._held = b""
            self.flow.resume_reading()
        if self._phase is not LINGERING:
            return False
        if self.transport.get_extra_info("ssl_object"):  # TLS has no half of a connection to close
            self.loop.call_later(TLS_LINGER_S, self.transport.close)
        return True

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio reads what it returns
        """A client that closes its half of the connection behind a request gets the answer; others are closed."""
        if self._phase is not ANSWERING or self.transport.get_extra_info("ssl_object"):
            return False
        self._client_has_sent_all = True
        self.loop.call_later(PROBE_S, self._probe, PROBE_S)
        return True

    def _probe(self, wait_s: float) -> None:
        """Ends a connection whose client reads no more: its requests need not be computed.

        Closing one half looks the same as closing a socket. Only a socket that is closed answers data with a reset, and
        a client ignores an interim answer (RFC 9110, 15.2).
        """
        if self.transport.is_closing() or self._phase is not ANSWERING:
            return
        if wait_s == PROBE_S and not self.cycle.response_started and self.cycle.scope["http_version"] == "1.1":
            self.transport.write(CONTINUE)
        if _was_reset(self.transport.get_extra_info("socket")):
            self.transport.abort()
        else:
            self.loop.call_later(wait_s, self._probe, min(2 * wait_s, LONGEST_PROBE_S))

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, holds it, or refuses the request."""
        phase = self._phase
        if self._held or phase is ANSWERING:
            self._hold(self._held[self._held_start :] + data, 0)
        elif phase is OVER_LIMIT:
            self._refuse(TOO_MANY_CONNECTIONS)
        elif phase is not LINGERING:
            self._parse_until_answered(data, 0)

    def _hold(self, data: bytes, start: int) -> None:
        self._held, self._held_start = data, start
        self.flow.pause_reading()
        if self.cycle:  # a drain ends the connection with its last request
            self.cycle.keep_alive = self._keeps_alive

    def _parse_held(self) -> None:
        data, self._held = self._held, b""
        if self._phase is not LINGERING and not self.transport.is_closing():
            self._parse_until_answered(data, self._held_start)
        if not self._held:
            self.flow.resume_reading()

    def _parse_until_answered(self, data: bytes, start: int) -> None:
        """Parses `data` from `start` to the end of a request that is not answered yet, and holds the rest."""
        pieces, size = 0, len(data)
        try:
            while start < size and self._phase is not ANSWERING and pieces < PIECES_AT_ONCE:
                start = self._parse_body(data, start) if self._phase is BODY else self._parse_head(data, start)
                pieces += 1
        except HttpParserError as error:
            self.logger.warning("Invalid HTTP request received.")
            cause = error if isinstance(error, MalformedRequest) else error.__context__  # what a callback has raised
            self._refuse(cause.refusal if isinstance(cause, MalformedRequest) else MALFORMED)
            return
        if start < size:
            self._hold(data, start)
            if self._phase is not ANSWERING:
                self.loop.call_soon(self._parse_held)

    def _parse_head(self, data: bytes, start: int) -> int:
        """Parses to the end of a head or of the data; returns where that is. Raises HttpParserError."""
        received = self._received
        if self._phase is not HEAD:
            if data[start] in b"\r\n" and (empty := EMPTY_LINES.match(data, start)):
                return empty.end()
            if self._phase is IDLE:
                self._since_s = self.loop.time()
            self._phase = HEAD
            received.begin()
        end = received.find_end_of_head(data, start)
        piece = data[start:end]
        received.head += len(piece)
        if received.head > HEAD_LIMIT_BYTES:
            raise MalformedRequest(HEAD_TOO_LARGE)
        if received.line is not None:
            received.check_line(piece)
        if piece.find(b"pgrade") >= 0:
            piece = UPGRADE.sub(b"\r\nIgnored", piece)
        try:  # noqa: SIM105 - a context manager would be three calls more for each request
            self.parser.feed_data(piece)
        except HttpParserUpgrade:  # the parser stops behind such a head, which is where the piece ends
            pass
        return end

    def _parse_body(self, data: bytes, start: int) -> int:
        """Parses to the end of a body, of the data or of a piece; returns where that is. Raises HttpParserError."""
        if self._body_left:
            end = min(start + self._body_left, len(data))
            self._body_left -= end - start
        else:  # chunked: there is an END_OF_HEAD behind the last chunk, too
            end = self._received.find_end_of_head(data, start)
            self._received.framing += end - start
        self.parser.feed_data(data[start:end])
        if self._received.framing > HEAD_LIMIT_BYTES:
            raise MalformedRequest(FRAMING_TOO_LARGE)
        return end

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
        """Starts the application.

        Raises MalformedRequest for too many headers, and for a body that the parser would take for the next request:
        one behind an Upgrade header that came in several pieces.
        """
        if len(self.headers) > HEADERS_LIMIT:
            raise MalformedRequest(TOO_MANY_HEADERS)
        self._body_left = _content_length(self.headers)
        if self.parser.should_upgrade() and (self._body_left or _is_chunked(self.headers)):
            raise MalformedRequest(UPGRADE_WITH_BODY)
        super().on_headers_complete()
        self._phase, self._since_s = BODY, self.loop.time()
        self._keeps_alive = self.cycle.keep_alive
        if self.server_state.draining:
            self.end_with_last_request()

    def end_with_last_request(self) -> None:
        """Closes the connection after the last request that has come, unless another one comes before its answer."""
        if self.cycle and not self.cycle.response_started and not self._held:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Ends a request: the next bytes are the head of another one."""
        if self.cycle.response_complete:  # answered before its body had come
            self._phase, self._since_s = IDLE, self.loop.time()
        else:
            self._phase = ANSWERING
        self._received.framing = 0
        super().on_message_complete()

    def _refuse(self, refusal: Refusal) -> None:
        """Sends the error answer, unless the application has begun another one, and closes the connection."""
        self.count_refusal(refusal.code)
        answered = False
        if self._phase is BODY:
            answered = self.cycle.response_started
            if not self.cycle.response_complete:  # the application is told that the client is gone
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        self._phase, self._since_s = LINGERING, self.loop.time()
        self.flow.resume_reading()
        if not self.transport.is_closing():
            if not answered:
                self.transport.write(refusal.answer)
            self.transport.close()


def timeouts(limits: ConnectionLimits) -> dict[Phase, Timeout]:
    """What ends each phase that lasts too long. A phase that is not named waits for the application, not a client."""
    return {
        OVER_LIMIT: Timeout(PRESENCE_S, HttpProtocol.close),
        CONNECTED: Timeout(limits.header_timeout_s, HttpProtocol.close),
        HEAD: Timeout(limits.header_timeout_s, HttpProtocol.refuse_slow_head),
        BODY: Timeout(limits.body_timeout_s, HttpProtocol.refuse_slow_body),
        IDLE: Timeout(limits.keep_alive_timeout_s, HttpProtocol.close),
        LINGERING: Timeout(LINGER_S, HttpProtocol.abort),
        UNREAD: Timeout(limits.body_timeout_s, HttpProtocol.abort),
    }


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    """The Content-Length, which the parser has checked; 0 without one."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return 0


def _is_chunked(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" for name, _ in headers)


def _was_reset(connection: socket.socket) -> bool:
    """Whether the client has answered with a reset; only Linux tells."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE
