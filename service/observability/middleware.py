"""Observability middleware: request id, security headers, metrics, access log, trace span."""

from __future__ import annotations

import logging
import random
from time import perf_counter
from typing import TYPE_CHECKING, Final

from service.observability.logs import ACCESS
from service.observability.request_context import CURRENT, REQUEST_ID, RequestContext
from service.observability.route_templates import OTHER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from service.observability.metrics import Metrics
    from service.observability.request_metrics import RouteMetrics
    from service.observability.route_templates import RouteTemplates
    from service.observability.tracing import Tracing
    from service.settings import ServiceSettings

CACHED_PATHS_LIMIT: Final = 1024
CACHED_PATH_LENGTH: Final = 256
"""Maximum length in characters of a path in the cache of routes."""
FAILED: Final = 500
HEADER: Final = REQUEST_ID
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
POLICY: Final = b"content-security-policy"
DEFAULT_POLICY: Final = (POLICY, b"default-src 'none'; frame-ancestors 'none'")
DOCS_POLICY: Final = (
    POLICY,
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; "
    b"base-uri 'none'; frame-ancestors 'none'",
)
"""Content security policy of the documentation pages, which have inline styles."""
DOCS: Final = frozenset(("/docs", "/redoc"))
NO_REFERRER: Final = (b"referrer-policy", b"no-referrer")
log = logging.getLogger(ACCESS)


class ObservabilityMiddleware:
    """Gives each request a RequestContext (CURRENT in its task), counts, logs and traces the request.

    Responses of the methods and paths in `plain` are never HTML and get fewer headers. The access log is at level info:
    a share of the requests, and all requests with status 500 and more.
    Not thread-safe: one event loop only.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        templates: RouteTemplates,
        settings: ServiceSettings,
        *,
        plain: Collection[tuple[str, str]] = (),
        tracing: Tracing | None = None,
    ) -> None:
        self._app, self._metrics, self._templates, self._plain = app, metrics, templates, plain
        self._tracing = tracing
        self._share = settings.access_log_share if settings.log_level in ("info", "debug") else None
        self._routes_by_path: dict[tuple[str, str], tuple[RouteMetrics, tuple[tuple[bytes, bytes], ...]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = scope["method"], scope["path"]
        route, constant = self._routes_by_path.get(key) or self._find(*key)
        context = RequestContext(dict(scope["headers"]), self._metrics.requests.stage_seconds)
        CURRENT.set(context)
        if self._tracing:
            self._tracing.begin(context, scope, route.template)

        def send_counted(message: Message) -> Awaitable[None]:  # returns the awaitable of `send` and saves a coroutine
            if message["type"] == "http.response.start":
                context.status = message["status"]
                given = message.get("headers", ())
                headers = [*given, *constant, (HEADER, context.id)]
                if len(constant) > 1 and any(name == POLICY for name, _ in given):
                    headers = [*given, NOSNIFF, NO_REFERRER, (HEADER, context.id)]
                message["headers"] = headers
            return send(message)

        route.in_flight += 1
        try:
            await self._app(scope, receive, send_counted)
        finally:
            route.in_flight -= 1
            status = context.status or FAILED
            seconds = perf_counter() - context.began_s
            route.done(status, seconds)
            if self._share is not None and (status >= FAILED or random.random() < self._share):  # noqa: S311
                _log(context, route, status, seconds)
            if self._tracing:
                self._tracing.end(context, status)

    def _find(self, method: str, path: str) -> tuple[RouteMetrics, tuple[tuple[bytes, bytes], ...]]:
        template = self._templates.match(path)
        policy = DOCS_POLICY if template in DOCS else DEFAULT_POLICY
        constant = (NOSNIFF,) if (method, path) in self._plain else (NOSNIFF, NO_REFERRER, policy)
        found = self._metrics.requests.route(method, template), constant
        if found[0].template != OTHER and found[0].method == method and len(path) <= CACHED_PATH_LENGTH:
            if len(self._routes_by_path) >= CACHED_PATHS_LIMIT:
                self._routes_by_path.clear()
            self._routes_by_path[method, path] = found
        return found


def _log(context: RequestContext, route: RouteMetrics, status: int, seconds: float) -> None:
    content = {
        "method": route.method,
        "route": route.template,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "model": context.model,
        "version": context.version,
    }
    log.info("request", extra={name: value for name, value in content.items() if value is not None})
