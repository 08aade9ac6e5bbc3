"""A response with status 200 and raw headers, without the overhead of Starlette's Response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable


class RawResponse(Response):
    """Status 200, a body with its media type, and further headers, whose names must be in lower case."""

    def __init__(self, body: bytes, media_type: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.status_code, self.background, self.body = 200, None, body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", media_type.encode()),
            *headers,
        ]
