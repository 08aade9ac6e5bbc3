"""The application: its paths, its life, and the one mapping from what can go wrong to status codes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.batching import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.direct import DirectPaths
from service.encode import encode_problem
from service.errors import (
    BrokenAnswer,
    FeedbackOff,
    FeedbackUnavailable,
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
from service.feedback import Feedback
from service.follow import Follower
from service.loader import Loader
from service.media import JSON
from service.metrics import Metrics
from service.picture import Pictures
from service.protocol import HEAD_LIMIT_BYTES
from service.recent import Recent
from service.routes import feedback, health, manage, models, page, predict
from service.routes import metrics as metrics_route
from service.settings import ServiceSettings
from service.trial import Trial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from fastapi import FastAPI
    from fastapi.telemetry import TelemetryConfig
    from starlette.requests import Request

    from service.live import Live

log = logging.getLogger(__name__)

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


class Status(NamedTuple):
    """A status code, and what to say for errors that do not bring words of their own."""

    code: int
    name: str = ""
    message: str = ""


STATUS: Final[dict[type[Exception], Status]] = {
    MalformedBody: Status(400),
    WrongValue: Status(422),
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
    live: Live | None = None,
    metrics: Metrics | None = None,
    follower: Follower | None = None,
    tell_others: Callable[[], None] = lambda: None,
    recent: Recent | None = None,
) -> FastAPI:
    """The application. What is loaded is `live`, or loaded on startup as the settings say; it is closed on shutdown.

    Meanwhile `follower` keeps it up to date; without one, what is given stays as it is. `tell_others` is called when
    this one has been asked to look at the store, so that other workers do, too. `recent` are the last predictions, by
    default in memory that no other worker reads.
    """
    settings, metrics = settings or ServiceSettings(), metrics or Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        if state.live is None:
            loader = await asyncio.to_thread(Loader, settings, metrics)
            state.follower = Follower(loader, metrics, settings.poll_interval_s)
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
    app.state.tell_others = tell_others
    app.state.trial = Trial(settings, metrics) if settings.canary_share or settings.shadow_share else None
    app.state.recent = recent or Recent(settings.recent_predictions)
    app.state.pictures = Pictures(settings.picture_limit_pixels)
    app.state.feedback = Feedback(settings.corrections_url, settings.feedback_retention_days)
    for router in (predict.router, feedback.router, models.router, manage.router, health.router, metrics_route.router):
        app.include_router(router)
    app.include_router(page.router)
    app.mount("/page", page.files, "page")
    for kind in STATUS:
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    direct = {("POST", "/predict"): predict.predict}
    app.middleware_stack = DirectPaths(app.build_middleware_stack(), direct, _answer_direct)
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status.code == 500 and type(error) in STATUS:  # the server logs those that nobody expected
        log.error("%s", error, exc_info=error.__cause__ or error)
    retry_after_s = error.retry_after_s if isinstance(error, QueueFull) else RETRY_AFTER_S
    headers = {"Retry-After": str(retry_after_s)} if status.code == 503 else {}
    if status.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    request.app.state.metrics.refused(error.code if isinstance(error, RequestError) else status.name)
    if isinstance(error, RequestError):
        return _error(status.code, error.code, str(error), error.field, error.found, error.wanted, headers=headers)
    message = status.message
    if isinstance(error, QueueFull):
        message = f"{error.waiting} pictures are waiting, and the limit is {error.limit}; try again later"
    return _error(status.code, status.name, message, headers=headers)


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
        return _error(404, "not_found", f"there is nothing at {path}; /docs describes what there is", "path", path)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{method} is not possible at {path}, want {allowed}"
        return _error(405, "method_not_allowed", message, "method", method, allowed, headers=error.headers)
    return _error(error.status_code, "refused", str(error.detail), headers=error.headers)


def _error(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    found: str | None = None,
    wanted: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(encode_problem(code, message, field, found, wanted), status, headers=headers, media_type=JSON)
