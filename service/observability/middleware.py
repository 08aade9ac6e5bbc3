"""What every request goes through: an id, headers that browsers obey, metrics, a line in the log, a span of a trace."""

from __future__ import annotations

import logging
import random
from time import perf_counter
from typing import TYPE_CHECKING, Final

from service.observability.request_context import CURRENT, REQUEST_ID, RequestContext
from service.observability.route_templates import OTHER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from service.observability.metrics import Metrics, RouteMetrics
    from service.observability.route_templates import RouteTemplates
    from service.observability.tracing import Tracing
    from service.settings import ServiceSettings

LONGEST_PATH: Final = 256
MOST_PATHS: Final = 1024
"""So many paths, none longer than that, are known again without looking for their routes."""
FAILED: Final = 500
HEADER: Final = REQUEST_ID
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
POLICY: Final = b"content-security-policy"
NOTHING: Final = (POLICY, b"default-src 'none'; frame-ancestors 'none'")
OF_DOCS: Final = (
    POLICY,
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; "
    b"base-uri 'none'; frame-ancestors 'none'",
)
"""The pages that FastAPI makes have their script in them."""
DOCS: Final = frozenset(("/docs", "/redoc", "/docs/oauth2-redirect"))
NO_REFERRER: Final = (b"referrer-policy", b"no-referrer")
log = logging.getLogger("service.access")


class ObservabilityMiddleware:
    """An application whose requests are observed. Those of `plain` methods and paths never get HTML, and fewer headers.

    Sets CURRENT for the task of each request. Lines are logged at level info, for a share of the requests and for all
    that failed (status 500 and more).
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
        self._found: dict[tuple[str, str], tuple[RouteMetrics, tuple[tuple[bytes, bytes], ...]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = scope["method"], scope["path"]
        watch, constant = self._found.get(key) or self._find(*key)
        seen = RequestContext(dict(scope["headers"]), self._metrics.stage_seconds)
        CURRENT.set(seen)
        if self._tracing:
            self._tracing.begin(seen, scope, watch.route)

        def send_observed(message: Message) -> Awaitable[None]:  # no coroutine of its own
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                given = message.get("headers", ())
                headers = [*given, *constant, (HEADER, seen.id)]
                if len(constant) > 1 and any(name == POLICY for name, _ in given):
                    headers = [*given, NOSNIFF, NO_REFERRER, (HEADER, seen.id)]
                message["headers"] = headers
            return send(message)

        watch.in_flight += 1
        try:
            await self._app(scope, receive, send_observed)
        finally:
            watch.in_flight -= 1
            status = seen.status or FAILED
            seconds = perf_counter() - seen.began_s
            watch.done(status, seconds)
            if self._share is not None and (status >= FAILED or random.random() < self._share):  # noqa: S311
                _log(seen, watch, status, seconds)
            if self._tracing:
                self._tracing.end(seen, status)

    def _find(self, method: str, path: str) -> tuple[RouteMetrics, tuple[tuple[bytes, bytes], ...]]:
        template = self._templates.of(path)
        policy = OF_DOCS if template in DOCS else NOTHING
        constant = (NOSNIFF,) if (method, path) in self._plain else (NOSNIFF, NO_REFERRER, policy)
        found = self._metrics.route(method, template), constant
        if found[0].route != OTHER and found[0].method == method and len(path) <= LONGEST_PATH:
            if len(self._found) >= MOST_PATHS:
                self._found.clear()
            self._found[method, path] = found
        return found


def _log(seen: RequestContext, watch: RouteMetrics, status: int, seconds: float) -> None:
    content = {
        "method": watch.method,
        "route": watch.route,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "model": seen.model,
        "version": seen.version,
    }
    log.info("request", extra={name: value for name, value in content.items() if value is not None})
