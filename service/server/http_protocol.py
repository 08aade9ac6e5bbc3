"""HTTP as uvicorn speaks it, with a bound on the head of a request, and with errors of the common form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.headers import HEAD_LIMIT_BYTES, HEADERS_LIMIT
from service.http.error_responses import encode_problem
from service.http.media_types import JSON

if TYPE_CHECKING:
    import asyncio

PRESENCE_S: Final = 1.0
"""How long a connection over the limit may take to say what it wants, and to be told that there are too many."""
FINAL_STATUS: Final = tuple(f"HTTP/1.1 {digit}".encode() for digit in range(2, 6))
MALFORMED: Final = encode_problem(
    "invalid_http", "the request is not HTTP/1.1 as RFC 9112 has it; the connection is closed"
)
UPGRADE: Final = re.compile(rb"\r\nupgrade(?=:)", re.IGNORECASE)
"""RFC 9110, 7.8, leaves it to the server to ignore it; httptools would take what comes next for no HTTP. Java's client
sends it with its first request unless told otherwise."""
UPGRADE_WITH_BODY: Final = encode_problem(
    "invalid_http",
    "a request with Upgrade has a body, want one without Upgrade: only HTTP/1.1 is spoken; the connection is closed",
    field="Upgrade",
    found="Upgrade and a body",
    wanted="no Upgrade, or no body",
)
TOO_LARGE: Final = encode_problem(
    "head_too_large",
    f"request line and headers have more than {HEAD_LIMIT_BYTES} bytes; the connection is closed",
    wanted=f"at most {HEAD_LIMIT_BYTES} bytes",
)
TOO_MANY: Final = encode_problem(
    "too_many_headers",
    f"the request has more than {HEADERS_LIMIT} headers; the connection is closed",
    wanted=f"at most {HEADERS_LIMIT} headers",
)
CROWDED: Final = encode_problem(
    "too_many_connections", "this process has as many connections as it takes; try again later"
)


class Limits(NamedTuple):
    """How long a client may take, in seconds, and how many connections there may be."""

    header_timeout_s: float
    body_timeout_s: float
    keep_alive_timeout_s: float
    connections: int


TRAILERS: Final = encode_problem(
    "invalid_http",
    "the body is followed by trailers, want none: headers stand before it; the connection is closed",
    found="trailers",
    wanted="none",
)
FRAMING: Final = encode_problem(
    "invalid_http",
    f"the body has more than {HEAD_LIMIT_BYTES} bytes between its chunks; the connection is closed",
    wanted=f"at most {HEAD_LIMIT_BYTES} bytes",
)
FRAMING_PER_BYTE: Final = 8
"""A chunk of one byte takes five more."""


class CoalescingTransport:
    """A transport that holds back the head of an answer until there is something to send with it.

    So an answer takes one system call and wakes its client once. ASGI, where it speaks of "http.response.start", leaves
    that to the server. Whatever else a transport can do is the real one's.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def write(self, data: bytes) -> None:
        """Sends data, with the head that was held back; or holds it back, if it looks like one."""
        if self._head:
            held, self._head = self._head, b""
            self._transport.writelines([held, data])
        elif data.startswith(FINAL_STATUS) and data.endswith(b"\r\n\r\n"):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Sends what was held back, if anything."""
        if self._head:
            held, self._head = self._head, b""
            self._transport.write(held)

    def close(self) -> None:
        """Closes the transport when everything is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class SharedState(ServerState):
    """What all connections know of."""

    draining = False

    def drain(self) -> None:
        """From now on, every answer is the last one of its connection, and says so: clients connect anew, elsewhere."""
        self.draining = True
        for connection in self.connections:
            cast("HttpProtocol", connection).end_with_last_request()


class HttpProtocol(HttpToolsProtocol):
    """One connection. Whoever has created it says what its `limits` are, and calls `look` again and again.

    One look at all connections now and then costs less than a timer for each request.
    """

    limits: Limits | None = None
    _in_head = True
    _head_bytes = 0
    _framing_bytes = 0
    """What has come of a body that is not in it: the sizes of chunks, and whatever else stands between them."""
    _crowded = False
    _since_s: float | None = None
    """Since when the client has owed the rest of a head or body, or all of a first one."""
    _idle_since_s: float | None = None
    """Since when the next request may come or not."""
    _stuck_since_s: float | None = None
    """Since when the client has not read what waits for it."""
    _malformed = MALFORMED
    _malformed_status = 400
    _refusal = b""
    """The last answer of all: what the connection was refused with."""

    @staticmethod
    def count_refusal(code: str, /) -> None:
        """Told of the code of each refusal, which no application sees; whoever counts them takes its place."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to serve."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport)))
        self._since_s = self.loop.time()
        self._crowded = self.limits is not None and len(self.connections) > self.limits.connections

    def on_response_complete(self) -> None:
        """Goes on with the next request, after an answer that may have had no body; or ends with the refusal.

        As uvicorn does it, but for the timer.
        """
        cast("CoalescingTransport", self.transport).flush()
        last = not self.pipeline
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                cycle, app = self.pipeline.pop()
                self._start_asgi_task(cycle, app)
            else:
                self._idle_since_s = self.loop.time()
        if self._refusal and last:
            self._close()

    def pause_writing(self) -> None:
        """Notes that the client reads too slowly."""
        super().pause_writing()
        self._stuck_since_s = self.loop.time()

    def resume_writing(self) -> None:
        """Notes that it has read."""
        super().resume_writing()
        self._stuck_since_s = None

    def look(self, now_s: float, limits: Limits) -> None:
        """Cuts the client off that takes longer than the limits allow; `now_s` is the loop's time."""
        if self._stuck_since_s is not None:
            if now_s - self._stuck_since_s > limits.body_timeout_s:
                self.transport.abort()
        elif self.transport.is_closing():
            self._stuck_since_s = now_s  # what is sent last has to be read, too
        elif self._since_s is not None:
            if self._crowded and now_s - self._since_s > PRESENCE_S:
                self.transport.close()
            elif self._in_head and now_s - self._since_s > limits.header_timeout_s:
                self._cut(f"the head of the request has not ended after {limits.header_timeout_s:g} s")
            elif not self._in_head and now_s - self._since_s > limits.body_timeout_s:
                self._cut(f"the body of the request has not ended after {limits.body_timeout_s:g} s")
        elif self._idle_since_s is not None and now_s - self._idle_since_s > limits.keep_alive_timeout_s:
            self.transport.close()

    def shutdown(self) -> None:
        """Ends the connection after the answer that it owes. A TLS client need not say that it has heard of that."""
        super().shutdown()
        if self.transport.is_closing() and self.transport.get_extra_info("ssl_object"):
            self.loop.call_later(PRESENCE_S, self.transport.abort)

    def _cut(self, why: str) -> None:
        answered = not self._in_head and self.cycle.response_complete
        if answered or (self._in_head and not self._head_bytes):  # nobody waits for words
            self.transport.close()
        elif not self._refusal:
            self._refuse(408, encode_problem("too_slow", f"{why}; the connection is closed"))

    def data_received(self, data: bytes) -> None:
        """Parses what has arrived, unless it is the end of patience with a head that does not end."""
        if self._refusal:
            return
        if self._crowded:
            self._refuse(503, CROWDED, b"retry-after: 1\r\n")
            return
        self._idle_since_s = None
        if self._since_s is None:
            self._since_s = self.loop.time()
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes - len(data) > HEAD_LIMIT_BYTES:
                self._refuse(431, TOO_LARGE)
                return
            end = data.find(b"\r\n\r\n")  # a body, which may be long, is not looked at
            end = len(data) if end < 0 else end
            if data.find(b"pgrade", 0, end) >= 0:
                data = UPGRADE.sub(b"\r\nIgnored", data[:end]) + data[end:]
        else:
            self._framing_bytes += len(data)
        try:
            self._parse(memoryview(data))
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(self._malformed_status, self._malformed)

    def _parse(self, data: memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:  # it stops after such a head, though HTTP/1.1 goes on behind it
                data = data[upgrade.args[0] :]
            else:
                break
        if self._framing_bytes > HEAD_LIMIT_BYTES:
            self._malformed = FRAMING
            raise HttpParserError("too much between chunks")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header. Raises HttpParserError for one behind the body, which RFC 9110, 6.5.1, forbids to merge."""
        if not self._in_head:
            self._malformed = TRAILERS
            raise HttpParserError("trailers")
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body, which allows for some of what stands around it."""
        self._framing_bytes -= (1 + FRAMING_PER_BYTE) * len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Stops to count. Raises HttpParserError for a body that the parser would take for the next request.

        That is one behind an Upgrade that came in pieces, or behind another request.
        """
        if len(self.headers) > HEADERS_LIMIT:
            self._malformed_status, self._malformed = 431, TOO_MANY
            raise HttpParserError("too many headers")
        if self.parser.should_upgrade() and any(map(_announces_body, self.headers)):
            self._malformed = UPGRADE_WITH_BODY
            raise HttpParserError("Upgrade and a body")
        earlier = self.cycle
        super().on_headers_complete()
        self._in_head = False
        self._since_s = self.loop.time()
        if cast("SharedState", self.server_state).draining:
            if earlier:
                earlier.keep_alive = True  # or this one, which came behind it, would not be answered
            self.end_with_last_request()

    def end_with_last_request(self) -> None:
        """Closes the connection after the last request that has come, unless another one comes before its answer."""
        if self.cycle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Starts to count again: the next thing to come is another head."""
        self._in_head, self._head_bytes, self._framing_bytes, self._since_s = True, 0, 0, None
        super().on_message_complete()

    def _refuse(self, status: int, body: bytes, headers: bytes = b"") -> None:
        """Stops to parse, and answers so as soon as all requests are answered that were complete before."""
        self.count_refusal(orjson.loads(body)["error"]["code"])
        head = f"content-type: {JSON}\r\ncontent-length: {len(body)}\r\nx-content-type-options: nosniff\r\n"
        self._refusal = STATUS_LINE[status] + head.encode() + headers + b"connection: close\r\n\r\n" + body
        self.flow.resume_reading()  # to throw away what comes: for what is unread, a closed connection is reset
        if not self._in_head and self.pipeline:
            self.pipeline.popleft()  # the newest one, whose body is not complete, waits behind one that is
        elif not self._in_head or self.cycle is None or self.cycle.response_complete:
            self._close()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._refusal)
            self.transport.close()


def _announces_body(header: tuple[bytes, bytes]) -> bool:
    name, value = header
    return name == b"transfer-encoding" or (name == b"content-length" and int(value) != 0)
