"""Fast path for the predicting routes: endpoints called directly, since FastAPI's overhead exceeds the prediction."""

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
    """Middleware: calls the endpoints of `endpoints` by method and path; passes all other requests to `app`.

    A path may have parameters, as `/models/{name}`. `app` has the same endpoints, for OpenAPI. `answer_error` turns
    an endpoint's exception into a response or raises it again; the CancelledError of a stopping server is included.
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
        """The endpoint of a request; path parameters go into `scope["path_params"]`, as in Starlette."""
        endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is not None:
            return endpoint
        for method, pattern, endpoint in self._patterns:
            if method == scope["method"] and (match := pattern.match(scope["path"])):
                scope["path_params"] = match.groupdict()
                return endpoint
        return None
