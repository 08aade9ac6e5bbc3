"""Routes that want a key because the settings say so, whatever protocol they speak."""

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
"""Who asks for these has no key, and learns no more than whether to send requests here."""
METRICS: Final = "/metrics"


class AuthenticationMiddleware:
    """An application of which all wants a key for `predict`, but health and metrics; those if `metrics` is required.

    Management checks its own keys, and those open this as well.
    """

    def __init__(self, app: ASGIApp, keys: Keys, required: Collection[Right], answer_error: AnswerError) -> None:
        self._app, self._keys, self._required, self._answer_error = app, keys, frozenset(required), answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or says that its key is wanted."""
        right = self._right(scope["path"]) if scope["type"] == "http" else None
        if right in self._required and right is not None:
            authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
            try:
                self._keys.check(None if authorization is None else authorization.decode("latin-1"), right)
            except Exception as error:
                response = await self._answer_error(Request(scope, receive, send), error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    def _right(path: str) -> Right | None:
        if path == METRICS:
            return "metrics"
        return None if path in HEALTH else "predict"
