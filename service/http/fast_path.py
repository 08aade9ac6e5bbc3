"""Paths on which FastAPI's own machinery would take longer than the answer does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.routing import compile_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    Endpoint = Callable[[Request], Awaitable[Response]]
    AnswerError = Callable[[Request, BaseException], Awaitable[Response]]


class FastPath:
    """Answers some methods and paths by calling their endpoints, and leaves all others to an application.

    A path may have parameters, as `/models/{name}`. The application documents all of them. `answer_error` makes an
    answer of whatever an endpoint raises, the CancelledError of a server that is stopping included, or raises it again.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint], answer_error: AnswerError) -> None:
        self._app, self._endpoints, self._answer_error = app, endpoints, answer_error
        self._patterns = [
            (method, compile_path(path)[0], endpoint) for (method, path), endpoint in endpoints.items() if "{" in path
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        endpoint = self._find(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except (Exception, asyncio.CancelledError) as error:
            response = await self._answer_error(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> Endpoint | None:
        """The endpoint of a method and path, whose parameters are put where Starlette puts them."""
        endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is not None:
            return endpoint
        for method, pattern, of_pattern in self._patterns:
            if method == scope["method"] and (match := pattern.match(scope["path"])):
                scope["path_params"] = match.groupdict()
                return of_pattern
        return None
