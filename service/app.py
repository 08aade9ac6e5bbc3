"""The application: state, routes, middleware, lifespan."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from service.auth.middleware import VERBOSE, AuthenticationMiddleware, right_of
from service.headers import HEAD_LIMIT_BYTES
from service.http.error_responses import ErrorResponses
from service.http.fast_path import FastPath
from service.http.head_method import HeadMethod
from service.http.openapi import add_examples, add_schemas, document_keys, drop_defaults
from service.http.root_path import RootPath
from service.observability.middleware import ObservabilityMiddleware
from service.observability.route_templates import RouteTemplates
from service.routes import (
    documentation,
    feedback,
    health,
    manage,
    metrics,
    models,
    open_inference,
    page,
    predict,
    tensorflow_serving,
)
from service.routes.dependencies import bearer
from service.settings import ServiceSettings
from service.state import make_state
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable

    from fastapi.telemetry import TelemetryConfig
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.auth.keys import Right
    from service.state import ServiceState

EXPOSED: Final = ("Retry-After", "X-Model-Name", "X-Model-Version", "X-Prediction-Id", "X-Request-Id", "X-Warnings")
"""Headers that a page of another origin may read."""
UNTRACED: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""By default FastAPI reads the environment at every request to find out whether to trace it."""
ROUTES: Final = (
    *(predict, feedback, models, tensorflow_serving, open_inference),
    *(manage, health, metrics, page, documentation),
)
FORMS: Final = (*predict.FORMS, *feedback.FORMS, *tensorflow_serving.FORMS, *open_inference.FORMS)
"""Schemas of the bodies that routes read without FastAPI."""
ANSWERS: Final = predict.EXAMPLES | feedback.EXAMPLES
"""Examples of answers in JSON, by operation id."""
HERE: Final = [{"url": "."}]
"""In OpenAPI: paths are relative to the place of the document, which a proxy may have put behind a prefix."""
DESCRIPTION: Final = f"""**Quick start.** Send a picture of a digit as a file, or as 784 numbers, row by row; 0 is
background and 255 is ink:

```sh
curl $URL/predict -F file=@seven.png
curl $URL/predict -H 'Content-Type: application/json' -d '{{"pixels": [784 numbers]}}'
```

```json
{{"digit": 7, "confidence": 0.998, "probabilities": [10 numbers], "accepted": true, "reason": null, "model": {{…}}}}
```

Act on an answer that is `accepted`, and let a person look at any other one. *Try it out* below sends an example.

**Errors** say what was found and what is wanted: `{{"error": {{"code", "message", "field", "found", "wanted"}}}}`;
under `/v1` and `/v2` `{{"error": "…"}}`. What is not HTTP/1.1 gets 400 `invalid_http` from any path, and a request line
with headers that has no end in {HEAD_LIMIT_BYTES} bytes gets 431 `head_too_large`; the connection is closed after them.
"""
"""What the page of the documentation begins with."""


class Application(FastAPI):
    """FastAPI with the state of a process. Requests go straight to the middleware."""

    service: ServiceState
    middleware_stack: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request. FastAPI's own method asks its telemetry first, which is off here."""
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)


def create_app(state: ServiceState | None = None) -> Application:
    """The application on a state, which is `app.service`; by default the state of the environment's settings.

    A registry that is still empty is loaded on startup. Everything is closed on shutdown. Raises DigitsError for a root
    path with which a route begins.
    """
    state = state or make_state(ServiceSettings())
    errors = ErrorResponses(state.metrics.requests.refused, lambda: state.registry.draining)
    app = Application(
        title="digits",
        summary="Handwritten digits in, answers with probabilities out",
        description=DESCRIPTION,
        version=version("digits"),
        servers=HERE,
        docs_url=None,  # FastAPI's pages load their files from another machine
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=UNTRACED,
    )
    app.service = state
    for of in ROUTES:  # include_router would build each route once more, for prefixes and dependencies that it lacks
        app.router.routes.extend(of.router.routes)
    app.mount("/page", page.files, "page")
    app.mount(f"/{documentation.FILES}", documentation.files, documentation.FILES)
    methods = _methods(app)
    templates = RouteTemplates(methods)

    async def answer_405(request: Request, _: Exception) -> Response:
        """Names the methods of all routes with the template; Starlette names those of the first route."""
        allowed = ", ".join(sorted(methods.get(templates.match(request.scope["path"]), ())))
        return await errors.of_http_exception(request, HTTPException(405, headers={"Allow": allowed}))

    errors.install(app)
    app.add_exception_handler(405, answer_405)
    app.openapi = _documentation(app, state.settings.require_key)  # type: ignore[method-assign]
    app.middleware_stack = _middleware(app, state, errors, templates)
    _check_root_path(state.settings.root_path, methods)
    return app


@asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    state = app.service
    watching = None
    if state.watcher:
        if not state.registry.loaded:
            await state.watcher.start()
        watching = asyncio.create_task(state.watcher.run())
    state.corrections.start()
    state.keys.start()
    drain_timeout_s = state.settings.drain_pause_s + state.settings.drain_timeout_s
    try:
        yield
    except asyncio.CancelledError:  # a second signal ends the drain; Starlette would print a traceback
        drain_timeout_s = 0
    finally:
        state.keys.close()
        state.corrections.close()
        state.offload.close()
        if watching and state.watcher:
            watching.cancel()
            state.watcher.close()
        if state.experiment:
            await state.experiment.close()
        await state.registry.close(drain_timeout_s)
        state.metrics.refresh()  # counts of the last requests
        if state.tracing:
            await state.tracing.close()


def _middleware(app: FastAPI, state: ServiceState, errors: ErrorResponses, templates: RouteTemplates) -> ASGIApp:
    """The middleware, from the outside in.

    Root path, observability, CORS, authentication, HEAD, and the fast path round FastAPI.
    """
    settings = state.settings
    fast = {
        ("POST", "/predict"): predict.predict,
        **{("POST", path): tensorflow_serving.predict for path in tensorflow_serving.PREDICT_PATHS},
        **{("POST", path): open_inference.infer for path in open_inference.INFER_PATHS},
    }
    inner: ASGIApp = FastPath(HeadMethod(app.build_middleware_stack()), fast, errors.of_base_exception)
    if settings.require_key:
        inner = AuthenticationMiddleware(inner, state.keys, settings.require_key, errors.of_base_exception)
    if settings.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    inner = ObservabilityMiddleware(inner, state.metrics, templates, settings, plain=fast, tracing=state.tracing)
    return RootPath(inner, settings.root_path) if settings.root_path else inner


def _check_root_path(root_path: str | None, templates: Iterable[str]) -> None:
    """Raises DigitsError for a root path with which a route begins."""
    if not root_path:
        return
    if taken := next((template for template in templates if f"{template}/".startswith(f"{root_path}/")), None):
        raise DigitsError(f"DIGITS_ROOT_PATH is {root_path!r}, which begins the route {taken}, want another prefix")


def _documentation(app: FastAPI, required: Collection[Right]) -> Callable[[], dict[str, Any]]:
    """Makes the OpenAPI document, with bodies and required keys; as FastAPI's own function does, only once."""
    without_keys = app.openapi

    def needs_key(path: str) -> bool | None:
        if path == VERBOSE and "predict" in required:
            return None
        return right_of(path) in required

    def documentation() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = without_keys()
        if is_new:
            add_schemas(document, FORMS)
            drop_defaults(document)
            add_examples(document, ANSWERS)
            document_keys(document, bearer.scheme_name, needs_key)
        return document

    return documentation


def _methods(app: FastAPI) -> dict[str, set[str]]:
    """The methods of each route template, in routing order; HEAD is allowed where GET is."""
    methods: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, Mount):
            methods.setdefault(f"{route.path}/{{path:path}}", set()).add("GET")
        elif isinstance(route, Route):
            methods.setdefault(route.path, set()).update(route.methods or ())
    return {template: of | {"HEAD"} if "GET" in of else of for template, of in methods.items()}
