"""Authentication middleware: requires a key for predictions and metrics if the settings say so, in any protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.auth.keys import Keys, Right

    AnswerError = Callable[[Request, BaseException], Awaitable[Response]]

HEALTH: Final = frozenset(("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"))
"""Never need a key: load balancers and orchestrators probe them, and learn only whether to send requests."""
VERBOSE: Final = "/readyz"
"""With `?verbose` it names versions, and needs the right `predict`; the route checks that."""
METRICS: Final = "/metrics"
PAGES: Final = frozenset(("/", "/favicon.ico", "/docs", "/redoc", "/openapi.json"))
"""Never need a key: a browser that opens a page cannot send one, and the pages ask for it."""
FILES: Final = ("/page/", "/static-offline-docs/")
"""Folders with the files of PAGES."""


def right_of(path: str) -> Right | None:
    """The right that requests to a path need if the settings require it; None if they never need a key."""
    if path == METRICS:
        return "metrics"
    return None if path in HEALTH or path in PAGES or path.startswith(FILES) else "predict"


class AuthenticationMiddleware:
    """Checks the key of each request if the right that its path needs is among `required`.

    `right_of` says which right that is. Management routes check their keys themselves; a `manage` key has the other
    rights, too. `answer_error` answers a failed check.
    """

    def __init__(self, app: ASGIApp, keys: Keys, required: Collection[Right], answer_error: AnswerError) -> None:
        self._app, self._keys, self._required, self._answer_error = app, keys, frozenset(required), answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on to the application, or answers it with an error."""
        right = right_of(scope["path"]) if scope["type"] == "http" else None
        if right in self._required and right is not None:
            authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
            try:
                self._keys.check(None if authorization is None else authorization.decode("latin-1"), right)
            except Exception as error:
                response = await self._answer_error(Request(scope, receive, send), error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
