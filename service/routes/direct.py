"""A route without FastAPI's dependency machinery, which takes longer than a small network does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi.routing import APIRoute
from starlette.requests import Request

from service.errors import NotReady
from service.routes.current import current_live

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """Documented by FastAPI like any other; the endpoint takes a Request and returns a Response, and nothing else.

    Its errors become answers in the application's own exception handlers; so does being cut off at the end of a drain.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers; what has the wrong method is FastAPI's to refuse."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await self.endpoint(request)
        except asyncio.CancelledError:
            if not current_live(request).draining:
                raise
            raise NotReady("draining", "the service has shut down before it had an answer") from None
        await response(scope, receive, send)
