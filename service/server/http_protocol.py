"""One HTTP/1.1 connection on httptools' parser: phases, timeouts, size limits, and errors of the common form."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import socket
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from service.headers import HEAD_LIMIT_BYTES, HEADERS_LIMIT
from service.private_api import require_members
from service.server.exchange import CONTINUE, Exchange
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
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp
    from uvicorn import Config

PRESENCE_S: Final = 1.0
"""How long a connection over the connection limit may stay open: for its first byte and for its error answer."""
LINGER_S: Final = 5.0
"""How long the rest of a request is read and dropped after an answer that closes the connection. Without it, the kernel
resets the connection, and a client that sends its whole body before it reads never sees the answer (RFC 9112, 9.6)."""
TLS_LINGER_S: Final = 0.5
AGE_JITTER: Final = (0.9, 1.1)
"""A connection's maximum age is the limit times a number between these."""
PROBE_S: Final = 0.05
"""How long the first answer to a client that has closed its half of the connection may take before it is probed."""
LONGEST_PROBE_S: Final = 1.0
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
require_members("uvicorn", UVICORN, ServerState, "connections", "tasks", "default_headers", "total_requests")
ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
log = logging.getLogger("uvicorn.error")


class ConnectionLimits(NamedTuple):
    """How long a client may take, in seconds, how many connections this process may have, and how old they may get."""

    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connections: int
    max_age_s: float = 0
    """Zero is no limit."""


class SharedState(ServerState):
    """The state that all connections of a server share. Not thread-safe: one event loop only.

    `tasks` are those of the requests in flight.
    """

    draining = False

    def __init__(self, tasks: set[asyncio.Task[None]] | None = None) -> None:
        super().__init__()
        if tasks is not None:
            self.tasks = tasks

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


class HttpProtocol(asyncio.Protocol):
    """One connection. Not thread-safe: one event loop only.

    Requests are parsed one at a time: what comes behind a request (pipelining) is held unparsed until the request is
    answered, and the socket is not read meanwhile. `with_limits` makes the class that a server uses. The server calls
    `check_timeouts` of every connection now and then, which costs less than a timer for each request.
    """

    connection_limit: ClassVar[int]
    max_age_s: ClassVar[float]
    timeouts: ClassVar[Mapping[Phase, Timeout]]

    exchange: Exchange | None = None
    """The last request, and its answer."""
    writable: asyncio.Event | None = None
    """While the client has to read (backpressure): set when it has."""
    closes_after_s = math.inf
    """When the connection is old, in the loop's time: the next answer closes it."""
    _is_old = False
    _phase = CONNECTED
    _since_s = 0.0
    """When the phase began, in the loop's time."""
    _unread_since_s: float | None = None
    """When the phase UNREAD began, if the connection is in that."""
    _held, _held_start = b"", 0
    """What has been read and is not parsed yet, from `_held_start` on."""
    _url = b""
    _headers: list[tuple[bytes, bytes]]
    _body_left = 0
    """Bytes of the body still to come, by Content-Length."""
    _keeps_alive = True
    """Whether the client of the last request wants more answers on the connection."""
    _client_has_sent_all = _half_closed = _is_paused = False

    def __init__(
        self,
        config: Config,
        server_state: SharedState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.server_state, self.connections, self._tasks = server_state, server_state.connections, server_state.tasks
        self._app: ASGIApp = config.loaded_app
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: Any = HttpRequestParser(self)
        self._received = Received()

    @classmethod
    def with_limits(cls, limits: ConnectionLimits, count_refusal: Callable[[str], None]) -> type[HttpProtocol]:
        """The class of connections with these limits; `count_refusal` is called with the code of each refusal."""
        members = {
            "connection_limit": limits.connections,
            "max_age_s": limits.max_age_s,
            "timeouts": timeouts(limits),
            "count_refusal": staticmethod(count_refusal),
        }
        return type("LimitedHttpProtocol", (cls,), members)

    @staticmethod
    def count_refusal(code: str, /) -> None:
        """Counts an error answer that no application has seen."""

    # What asyncio calls for the connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self._server, self._client = get_local_addr(self.transport), get_remote_addr(self.transport)
        self._since_s = self._loop.time()
        if self.max_age_s:  # connections that were made at once, after a rollout, are not to end at once
            self.closes_after_s = self._since_s + self.max_age_s * random.uniform(*AGE_JITTER)  # noqa: S311
        self.connections.add(self)  # type: ignore[arg-type] # uvicorn's own protocols are named there
        if len(self.connections) > self.connection_limit:
            self._phase = OVER_LIMIT

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        """Tells the application that the client is gone, and forgets the connection."""
        self.connections.discard(self)
        if self.exchange:
            self.exchange.disconnect()
        self.resume_writing()
        self.exchange = self._parser = None  # both refer to the connection

    def pause_writing(self) -> None:
        """Backpressure: too much has been sent that the client has not read."""
        self.writable = asyncio.Event()
        self._unread_since_s = self._loop.time()

    def resume_writing(self) -> None:
        """End of backpressure: the client has read."""
        if self.writable:
            self.writable.set()
        self.writable = self._unread_since_s = None

    def eof_received(self) -> bool:
        """A client that closes its half of the connection behind a request gets the answer; others are closed."""
        if self._phase is not ANSWERING or self._is_tls:
            return False
        self._client_has_sent_all = True
        self._loop.call_later(PROBE_S, self._probe, PROBE_S)
        return True

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, holds it, or refuses the request."""
        phase = self._phase
        if self._held or phase is ANSWERING:
            self._hold(self._held[self._held_start :] + data, 0)
        elif phase is OVER_LIMIT:
            self._refuse(TOO_MANY_CONNECTIONS)
        elif phase is not LINGERING:
            self._parse_until_answered(data, 0)

    # What an exchange calls.

    def write(self, *parts: bytes) -> None:
        """Sends bytes with one system call; drops bytes behind the last answer."""
        if not self._half_closed:
            self.transport.writelines(parts)

    def pause_reading(self) -> None:
        """Stops reading from the socket."""
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads from the socket again, unless what was read before waits to be parsed."""
        if self._is_paused and not self._held:
            self._is_paused = False
            self.transport.resume_reading()

    def end_exchange(self, exchange: Exchange) -> None:
        """After an answer: closes the connection, parses the request that was held, or waits for the next one."""
        self.server_state.total_requests += 1
        if not exchange.keep_alive:
            self.close()
        if self.transport.is_closing():
            return
        if self._phase is ANSWERING:
            self._phase, self._since_s = IDLE, self._loop.time()
        if self._held:
            self._parse_held()
        else:
            self.resume_reading()
            if self._client_has_sent_all:
                self.close()

    def close(self) -> None:
        """Closes the connection, or its sending half while the client may still be sending."""
        if self._half_closed or not self._linger():
            self.transport.close()
            return
        self._half_closed = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # Timeouts and the end of a connection.

    def check_timeouts(self, now_s: float) -> None:
        """Ends the connection if its phase has lasted longer than `timeouts` allow; `now_s` is the loop's time.

        An old connection ends with its next answer: an idle client may be sending a request, which would be lost.
        """
        self._is_old = now_s > self.closes_after_s
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

    def refuse_slow_head(self) -> None:
        """Refuses a request whose head does not end."""
        self._refuse(too_slow("head", self.timeouts[HEAD].limit_s))

    def refuse_slow_body(self) -> None:
        """Refuses a request whose body does not end, or closes the connection if the request is answered already."""
        if self.exchange and self.exchange.complete:
            self.transport.abort()
        else:
            self._refuse(too_slow("body", self.timeouts[BODY].limit_s))

    def shutdown(self) -> None:
        """Closes the connection behind the answer that is due; a TLS client gets a second for its close_notify."""
        exchange = self.exchange
        if exchange is None or exchange.complete or self._phase is LINGERING:
            self.close()
        else:  # more requests may be held
            exchange.keep_alive = bool(self._held) and self._keeps_alive
        if self.transport.is_closing() and self._is_tls:
            self._loop.call_later(PRESENCE_S, self.transport.abort)

    def _linger(self) -> bool:
        """Begins to linger if the client may still be sending when the connection is to close; says whether it does."""
        if self.server_state.draining or len(self.connections) > self.connection_limit:
            return False
        if self._phase is BODY or self._held:
            self._phase, self._since_s = LINGERING, self._loop.time()
            self._held = b""
            self.resume_reading()
        if self._phase is not LINGERING:
            return False
        if self._is_tls:  # TLS has no half of a connection to close
            self._loop.call_later(TLS_LINGER_S, self.close)
        return True

    def _probe(self, wait_s: float) -> None:
        """Ends a connection whose client reads no more: its requests need not be computed.

        Closing one half looks the same as closing a socket. Only a socket that is closed answers data with a reset, and
        a client ignores an interim answer (RFC 9110, 15.2).
        """
        exchange = self.exchange
        if self.transport.is_closing() or exchange is None or self._phase is not ANSWERING:
            return
        if wait_s == PROBE_S and not exchange.started and exchange.scope["http_version"] == "1.1":
            self.write(CONTINUE)
        if _was_reset(self.transport.get_extra_info("socket")):
            self.transport.abort()
        else:
            self._loop.call_later(wait_s, self._probe, min(2 * wait_s, LONGEST_PROBE_S))

    def _hold(self, data: bytes, start: int) -> None:
        self._held, self._held_start = data, start
        self.pause_reading()
        if self.exchange:  # a drain ends the connection with its last request
            self.exchange.keep_alive = self._keeps_alive

    def _parse_held(self) -> None:
        data, self._held = self._held, b""
        if self._phase is not LINGERING and not self.transport.is_closing():
            self._parse_until_answered(data, self._held_start)
        self.resume_reading()

    def _parse_until_answered(self, data: bytes, start: int) -> None:
        """Parses `data` from `start` to the end of a request that is not answered yet, and holds the rest."""
        pieces, size = 0, len(data)
        try:
            while start < size and self._phase is not ANSWERING and pieces < PIECES_AT_ONCE:
                start = self._parse_body(data, start) if self._phase is BODY else self._parse_head(data, start)
                pieces += 1
        except HttpParserError as error:
            log.warning("Invalid HTTP request received.")
            cause = error if isinstance(error, MalformedRequest) else error.__context__  # what a callback has raised
            self._refuse(cause.refusal if isinstance(cause, MalformedRequest) else MALFORMED)
            return
        if start < size:
            self._hold(data, start)
            if self._phase is not ANSWERING:
                self._loop.call_soon(self._parse_held)

    def _parse_head(self, data: bytes, start: int) -> int:
        """Parses to the end of a head or of the data; returns where that is. Raises HttpParserError."""
        received = self._received
        if self._phase is not HEAD:
            if data[start] in b"\r\n" and (empty := EMPTY_LINES.match(data, start)):
                return empty.end()
            if self._phase is IDLE:
                self._since_s = self._loop.time()
            self._phase = HEAD
            self._url, self._headers, self._body_left = b"", [], 0
            received.begin()
        end = received.find_end_of_head(data, start)
        piece = data[start:end]
        received.head += len(piece)
        if received.head > HEAD_LIMIT_BYTES:
            raise MalformedRequest(HEAD_TOO_LARGE)
        if received.line is not None:
            received.check_line(piece)
        if b"pgrade" in piece:
            piece = UPGRADE.sub(b"\r\nIgnored", piece)
        try:  # noqa: SIM105 - a context manager would be three calls more for each request
            self._parser.feed_data(piece)
        except HttpParserUpgrade:  # the parser stops behind such a head, which is where the piece ends
            pass
        return end

    def _parse_body(self, data: bytes, start: int) -> int:
        """Parses to the end of a body, of the data or of a piece; returns where that is. Raises HttpParserError."""
        if self._body_left:
            end = start + self._body_left
            if end > len(data):
                end = len(data)
            self._body_left -= end - start
        else:  # chunked: there is an END_OF_HEAD behind the last chunk, too
            end = self._received.find_end_of_head(data, start)
            self._received.framing += end - start
        self._parser.feed_data(data[start:end])
        if self._received.framing > HEAD_LIMIT_BYTES:
            raise MalformedRequest(FRAMING_TOO_LARGE)
        return end

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """Adds a part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header. Raises MalformedRequest for a trailer, which RFC 9110, 6.5.1, forbids to merge with those."""
        if self._phase is BODY:
            raise MalformedRequest(TRAILERS)
        name = name.lower()
        self._headers.append((name, value))
        if name == b"content-length":
            self._body_left = int(value)

    def on_headers_complete(self) -> None:
        """Starts the application.

        Raises MalformedRequest for too many headers, and for a body that the parser would take for the next request:
        one behind an Upgrade header that came in several pieces.
        """
        headers, parser = self._headers, self._parser
        if len(headers) > HEADERS_LIMIT:
            raise MalformedRequest(TOO_MANY_HEADERS)
        given = dict(headers)
        if parser.should_upgrade() and (self._body_left or b"transfer-encoding" in given):
            raise MalformedRequest(UPGRADE_WITH_BODY)
        target, http_version = parse_url(self._url), parser.get_http_version()
        raw_path = target.path or b"/"
        path = raw_path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": http_version,
            "method": parser.get_method().decode("ascii"),
            "scheme": "https" if self._is_tls else "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": target.query or b"",
            "root_path": "",
            "headers": headers,
            "server": self._server,
            "client": self._client,
            "state": self._app_state.copy(),
        }
        self._keeps_alive = http_version == "1.1" and parser.should_keep_alive()
        exchange = self.exchange = Exchange(
            self,
            scope,
            keep_alive=self._keeps_alive,
            expects_continue=b"expect" in given and given[b"expect"].lower() == b"100-continue",
        )
        task = self._loop.create_task(exchange.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._phase, self._since_s = BODY, self._loop.time()
        if self._is_old or self.server_state.draining:
            self.end_with_last_request()

    def end_with_last_request(self) -> None:
        """Closes the connection after the last request that has come, unless another one comes before its answer."""
        if self.exchange and not self.exchange.started and not self._held:
            self.exchange.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Adds a part of the body, which allows for some framing."""
        self._received.framing -= (1 + FRAMING_PER_BYTE) * len(body)
        if self.exchange and not self.exchange.complete:
            self.exchange.add_body(body)

    def on_message_complete(self) -> None:
        """Ends a request: the next bytes are the head of another one."""
        self._received.framing = 0
        if self.exchange and not self.exchange.complete:
            self._phase = ANSWERING
            self.exchange.end_body()
        else:  # answered before its body had come
            self._phase, self._since_s = IDLE, self._loop.time()

    def _refuse(self, refusal: Refusal) -> None:
        """Sends the error answer, unless the application has begun another one, and closes the connection."""
        self.count_refusal(refusal.code)
        answered = self._phase is BODY and self.exchange is not None and self.exchange.disconnect()
        self._phase, self._since_s = LINGERING, self._loop.time()
        self.resume_reading()
        if not self.transport.is_closing():
            if not answered:
                self.write(refusal.answer)
            self.close()


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


def _was_reset(connection: socket.socket) -> bool:
    """Whether the client has answered with a reset; only Linux tells."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE
