"""One request and its answer on a connection: the `receive` and `send` of ASGI 3."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Scope

    from service.server.http_protocol import HttpProtocol

HIGH_WATER_BYTES: Final = 2**16
"""Bytes of a body that wait for the application, above which the connection is not read."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
WITHOUT_BODY: Final = (204, 304)
CLOSE: Final = (b"connection", b"close")
CHUNKED: Final = (b"transfer-encoding", b"chunked")
FAILED: Final = b"Internal Server Error"
FAILED_HEADERS: Final = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(FAILED)),
    CLOSE,
]
log = logging.getLogger("uvicorn.error")


class Exchange:
    """One request and its answer. Not thread-safe: one event loop only.

    Head and body of an answer leave in one system call, and wake the client once.
    """

    __slots__ = (
        *("scope", "keep_alive", "started", "complete", "disconnected"),
        *("_connection", "_expects_continue", "_pieces", "_size", "_more_body", "_all_given", "_news"),
        *("_head", "_body_left", "_has_body", "_is_chunked"),
    )

    def __init__(self, connection: HttpProtocol, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope, self.keep_alive = scope, keep_alive
        self.started = self.complete = self.disconnected = False
        """Of the answer: whether it has begun, has ended, and will not be read."""
        self._connection, self._expects_continue = connection, expects_continue
        self._pieces: list[bytes] = []  # of the request's body: received, and not given to the application yet
        self._size = 0
        self._more_body, self._all_given = True, False
        self._news: asyncio.Event | None = None
        self._head = b""  # of the answer: encoded, and not sent yet
        self._body_left: int | None = None  # by Content-Length
        self._has_body, self._is_chunked = True, False

    async def run(self, app: ASGIApp) -> None:
        """Lets the application answer. An exception before its answer is answered with status 500."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException:
            log.exception("Exception in ASGI application")
        else:
            if self.complete or self.disconnected:
                return
            log.error("Exception in ASGI application: it has ended before its answer")
        if self._head:
            self.started, self._head = False, b""
        if self.started:
            self._connection.close()
        else:
            await self.send({"type": "http.response.start", "status": 500, "headers": FAILED_HEADERS})
            await self.send({"type": "http.response.body", "body": FAILED})

    def add_body(self, piece: bytes) -> None:
        """Adds a piece of the request's body."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > HIGH_WATER_BYTES:
            self._connection.pause_reading()
        if self._news:
            self._news.set()

    def end_body(self) -> None:
        """Ends the request's body."""
        self._more_body = False
        if self._news:
            self._news.set()

    def disconnect(self) -> bool:
        """Tells the application, by `receive`, that the client is gone. Returns whether an answer has been sent."""
        self.disconnected = not self.complete
        if self._news:
            self._news.set()
        return self.started and not self._head

    async def receive(self) -> Message:
        """ASGI's `receive`: the body in one or several messages, and then waits for the client to hang up."""
        if self._expects_continue:
            self._expects_continue = False
            self._connection.write(CONTINUE)
        while not (self.disconnected or self.complete):
            if self._pieces or not (self._more_body or self._all_given):
                body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces, self._size, self._all_given = [], 0, not self._more_body
                return {"type": "http.request", "body": body, "more_body": self._more_body}
            self._connection.resume_reading()
            self._news = self._news or asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's `send`.

        Raises RuntimeError for a message that ASGI does not allow here, a wrong Content-Length, and a header that
        would end its line.
        """
        connection = self._connection
        if connection.writable and not self.disconnected:
            await connection.writable.wait()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.started:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Encodes the head, which waits for the first part of the body. Raises RuntimeError for a wrong header."""
        fields = [*self._connection.server_state.default_headers, *headers]
        given = dict(fields)
        self._has_body = self.scope["method"] != "HEAD" and status not in WITHOUT_BODY
        self._is_chunked, self._body_left = False, None
        if b"content-length" in given:
            self._body_left = int(given[b"content-length"])
        elif self._has_body:
            if self.scope["http_version"] == "1.1":
                self._is_chunked = True
                fields.append(CHUNKED)
            else:  # HTTP/1.0 has no chunks: the connection's end is the body's
                self.keep_alive = False
        if CLOSE in fields:
            self.keep_alive = False
        elif not self.keep_alive:
            fields.append(CLOSE)
        lines = [STATUS_LINES[status]]
        for name, value in fields:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        ends = len(fields) + 2
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:  # RFC 9110, 5.5
            raise RuntimeError("a header of the answer has CR, LF or NUL")
        self.started, self._head, self._expects_continue = True, head, False

    def _send_body(self, body: bytes, *, more: bool) -> None:
        """Sends a part of the body, behind the head if that waits. Raises RuntimeError for a wrong Content-Length."""
        if not self._has_body:
            body = b""
        elif self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        elif self._body_left is not None:
            self._body_left -= len(body)
            if self._body_left < 0 or (self._body_left and not more):
                raise RuntimeError(f"the answer's body differs from its Content-Length by {-self._body_left} bytes")
        head, self._head = self._head, b""
        if head:
            self._connection.write(head, body)
        elif body:
            self._connection.write(body)
        if not more:
            self.complete = True
            if self._news:
                self._news.set()
            self._connection.end_exchange(self)
