"""HEAD: answered as GET is, by the same endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send


class HeadMethod:
    """Middleware: hands a HEAD request on as a GET request.

    The server still knows it as HEAD: it sends the headers of the answer, `Content-Length` among them, and no body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on to the application."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        return self._app(scope, receive, send)
