"""Errors of the HTTP protocol itself: whole answers after which the connection closes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from httptools import HttpParserError

from service.headers import HEAD_LIMIT_BYTES, HEADERS_LIMIT
from service.http.error_responses import encode_problem
from service.http.media_types import JSON


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


def too_slow(part: str, limit_s: float) -> Refusal:
    """The refusal of a request of which a part, head or body, has not ended in time."""
    return refusal(
        408, "too_slow", f"the {part} of the request has not ended after {limit_s:g} s; the connection is closed"
    )
