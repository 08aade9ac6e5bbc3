"""A route without FastAPI's dependency machinery, which takes longer than a small network does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute
from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """Documented by FastAPI like any other; the endpoint takes a Request and returns a Response, and nothing else.

    Its errors become answers in the application's own exception handlers.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers; what has the wrong method is FastAPI's to refuse."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
