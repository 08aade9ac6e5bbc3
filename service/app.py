"""The application: its paths, its life, and the one mapping from what can go wrong to status codes."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Mount

from service.auth.keys import Keys
from service.auth.middleware import AuthenticationMiddleware
from service.engine.batcher import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.errors import (
    BrokenAnswer,
    FeedbackOff,
    FeedbackUnavailable,
    FollowsStore,
    Forbidden,
    KeyReused,
    MalformedBody,
    NotAcceptable,
    NotReady,
    RequestError,
    TooLarge,
    Unauthorised,
    UnknownModel,
    UnknownPrediction,
    UnknownVersion,
    VersionRefused,
    WrongMediaType,
    WrongValue,
)
from service.feedback.async_corrections import AsyncCorrections
from service.feedback.recent_predictions import RecentPredictions
from service.http.fast_path import FastPath
from service.http.media_types import JSON
from service.models.experiment import Experiment
from service.models.loader import Loader
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.observability.middleware import ObservabilityMiddleware
from service.observability.route_templates import RouteTemplates
from service.observability.tracing import Tracing, tracing_from_environment
from service.protocols.native.image_file import Pictures
from service.protocols.native.response import encode_plain_error, encode_problem
from service.routes import feedback, health, manage, models, page, predict
from service.routes import metrics as metrics_route
from service.routes import open_inference as v2
from service.routes import tensorflow_serving as v1
from service.server.http_protocol import HEAD_LIMIT_BYTES
from service.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from fastapi import FastAPI
    from fastapi.telemetry import TelemetryConfig
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from service.models.registry import ModelRegistry

log = logging.getLogger(__name__)

EXPOSED: Final = ("Retry-After", "X-Model-Name", "X-Model-Version", "X-Prediction-Id", "X-Request-Id")
"""Headers that a page of another origin may read."""
RETRY_AFTER_S: Final = 1
"""When to try again where nothing says how long it will take."""
UNTRACED: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI would otherwise look into the environment at every request, whether it is to be traced."""
DESCRIPTION: Final = (
    "What is not HTTP/1.1 gets 400 `invalid_http` from any path, and a request line with headers that has no end in "
    f"{HEAD_LIMIT_BYTES} bytes gets 431 `head_too_large`. Both come in the common form of errors, and the connection "
    "is closed after them."
)
"""What holds for all paths, and therefore stands at none."""
FOREIGN: Final = re.compile("/v[12](/|$)")
"""Paths of protocols that others have defined, where an error is a text and a wrong value is 400."""


class Status(NamedTuple):
    """A status code, and what to say for errors that do not bring words of their own."""

    code: int
    name: str = ""
    message: str = ""
    foreign_code: int | None = None
    """The code in the protocols of others, where it differs."""


STATUS: Final[dict[type[Exception], Status]] = {
    MalformedBody: Status(400),
    WrongValue: Status(422, foreign_code=400),
    TooLarge: Status(413),
    WrongMediaType: Status(415),
    NotAcceptable: Status(406),
    UnknownModel: Status(404),
    UnknownVersion: Status(404),
    UnknownPrediction: Status(404),
    FeedbackOff: Status(404),
    KeyReused: Status(409),
    FeedbackUnavailable: Status(503),
    Unauthorised: Status(401),
    Forbidden: Status(403),
    VersionRefused: Status(409),
    FollowsStore: Status(409),
    NotReady: Status(503),
    QueueFull: Status(503, "queue_full"),
    Closed: Status(503, "draining", "the service is shutting down"),
    EngineDead: Status(503, "engine_stopped", "the engine of a model has stopped"),
    DeadlineExceeded: Status(
        504, "deadline_exceeded", "there was no answer in the time that X-Timeout-Ms and the limit of the service allow"
    ),
    PredictFailed: Status(
        500, "prediction_failed", "the model failed on this request; the log of the service says how"
    ),
    BrokenAnswer: Status(500, "prediction_failed", "the model's answer made no sense; the log of the service says how"),
    ClientDisconnect: Status(499, "hung_up", "the client hung up"),  # nobody reads this
    Exception: Status(500, "internal_error", "the service failed on this request; its log says how"),
}
EXPECTED: Final = tuple(kind for kind in STATUS if kind is not Exception)


def create_app(
    settings: ServiceSettings | None = None,
    live: ModelRegistry | None = None,
    metrics: Metrics | None = None,
    follower: StoreWatcher | None = None,
    tell_others: Callable[[], None] = lambda: None,
    recent: RecentPredictions | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The application. What is loaded is `live`, or loaded on startup as the settings say; it is closed on shutdown.

    Meanwhile `follower` keeps it up to date; without one, what is given stays as it is. `tell_others` is called when
    this one has been asked to look at the store, so that other workers do, too. `recent` are the last predictions, by
    default in memory that no other worker reads. `tracing` takes traces, by default where the environment says.
    """
    settings, metrics = settings or ServiceSettings(), metrics or Metrics()
    tracing = tracing or tracing_from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        if state.live is None:
            loader = await asyncio.to_thread(Loader, settings, metrics)
            state.follower = StoreWatcher(loader, metrics, settings.poll_interval_s)
            state.live = await asyncio.to_thread(state.follower.start)
        following = asyncio.create_task(state.follower.run(state.live)) if state.follower else None
        state.feedback.start()
        patience_s = settings.drain_pause_s + settings.drain_timeout_s
        try:
            yield
        except asyncio.CancelledError:  # who is told twice to stop waits for nobody; Starlette would print a traceback
            patience_s = 0
        finally:
            state.feedback.close()
            state.pictures.close()
            if following:
                following.cancel()
            if state.trial:
                await state.trial.close()
            await state.live.close(patience_s)
            metrics.refresh(None)  # what the last requests have left behind
            if tracing:
                await asyncio.to_thread(tracing.close)

    app = FastAPIOffline(
        title="digits",
        summary="Handwritten digits in, answers with probabilities out",
        description=DESCRIPTION,
        version=version("digits"),
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=UNTRACED,
    )
    app.state.settings, app.state.live, app.state.metrics, app.state.follower = settings, live, metrics, follower
    app.state.tell_others, app.state.keys = tell_others, Keys(settings.keys_file)
    app.state.trial = Experiment(settings, metrics) if settings.canary_share or settings.shadow_share else None
    app.state.recent = recent or RecentPredictions(settings.recent_predictions)
    app.state.pictures = Pictures(settings.picture_limit_pixels)
    app.state.feedback = AsyncCorrections(settings.corrections_url, settings.feedback_retention_days)
    for route in (predict, feedback, models, v1, v2, manage, health, metrics_route, page):
        app.include_router(route.router)
    app.mount("/page", page.files, "page")
    for kind in STATUS:
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.middleware_stack = _stack(app, tracing)
    return app


def _stack(app: FastAPI, tracing: Tracing | None) -> ASGIApp:
    """What a request goes through, from the outside in: observed, CORS, keys, what is answered without FastAPI."""
    settings: ServiceSettings = app.state.settings
    direct = {
        ("POST", "/predict"): predict.predict,
        **{("POST", path): v1.predict for path in v1.PREDICT_PATHS},
        **{("POST", path): v2.infer for path in v2.INFER_PATHS},
    }
    inner: ASGIApp = FastPath(app.build_middleware_stack(), direct, _answer_direct)
    if settings.require_key:
        inner = AuthenticationMiddleware(inner, app.state.keys, settings.require_key, _answer_direct)
    if settings.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    templates = RouteTemplates(_templates(app))
    return ObservabilityMiddleware(inner, app.state.metrics, templates, settings, plain=direct, tracing=tracing)


def _templates(app: FastAPI) -> Iterator[str]:
    for route in iter_route_contexts(app.routes):
        path = route.path
        if path is not None:
            yield f"{path}/{{path:path}}" if isinstance(route.original_route, Mount) else path


async def _answer_error(request: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status.code == 500 and type(error) in STATUS:  # the server logs those that nobody expected
        log.error("%s", error, exc_info=error.__cause__ or error)
    retry_after_s = error.retry_after_s if isinstance(error, QueueFull) else RETRY_AFTER_S
    headers = {"Retry-After": str(retry_after_s)} if status.code == 503 else {}
    if status.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    request.app.state.metrics.refused(error.code if isinstance(error, RequestError) else status.name)
    if FOREIGN.match(request.url.path):
        status = status._replace(code=status.foreign_code or status.code)
    if isinstance(error, RequestError):
        return _error(
            request, status.code, error.code, str(error), error.field, error.found, error.wanted, headers=headers
        )
    message = status.message
    if isinstance(error, QueueFull):
        message = f"{error.waiting} pictures are waiting, and the limit is {error.limit}; try again later"
    return _error(request, status.code, status.name, message, headers=headers)


async def _answer_direct(request: Request, error: BaseException) -> Response:
    """Answers what an endpoint raised that was called without FastAPI."""
    if isinstance(error, asyncio.CancelledError):
        live = request.app.state.live
        if live is None or not live.draining:
            raise error
        error = NotReady("draining", "the service has shut down before it had an answer")
    if not isinstance(error, Exception):
        raise error
    if not isinstance(error, EXPECTED):
        log.error("a request failed in a way that nobody expected", exc_info=error)
    return await _answer_error(request, error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answers what Starlette itself refuses: paths and methods that do not exist."""
    if not isinstance(error, HTTPException):
        raise TypeError(f"want an HTTPException, got {error!r}")
    method, path = request.method, request.url.path
    if error.status_code == 404:
        message = f"there is nothing at {path}; /docs describes what there is"
        return _error(request, 404, "not_found", message, "path", path)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{method} is not possible at {path}, want {allowed}"
        return _error(request, 405, "method_not_allowed", message, "method", method, allowed, headers=error.headers)
    return _error(request, error.status_code, "refused", str(error.detail), headers=error.headers)


def _error(
    request: Request,
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    found: str | None = None,
    wanted: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = encode_problem(code, message, field, found, wanted)
    if FOREIGN.match(request.url.path):
        body = encode_plain_error(message)
    return Response(body, status, headers=headers, media_type=JSON)
