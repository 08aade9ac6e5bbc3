"""Answers with status 200, made without what Starlette does for all that a response can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable


class Answer(Response):
    """A body of a media type, and other headers if there are any, names in lower case."""

    def __init__(self, body: bytes, media_type: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.status_code, self.background, self.body = 200, None, body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", media_type.encode()),
            *headers,
        ]
