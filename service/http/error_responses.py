"""Error responses: the mapping from exceptions to status codes, and the bodies of error responses."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.concurrency import release_frames
from service.engine.errors import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.errors import (
    BrokenAnswer,
    FeedbackOff,
    FeedbackUnavailable,
    FollowsStore,
    Forbidden,
    KeyReused,
    MalformedBody,
    ModelNotLoaded,
    NotAcceptable,
    NotReady,
    RequestError,
    TooLarge,
    TooManyCorrections,
    Unauthorised,
    UnknownCorrection,
    UnknownPrediction,
    UnknownVerb,
    VersionNotLoaded,
    VersionRefused,
    WrongMediaType,
    WrongValue,
)
from service.http.media_types import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

log = logging.getLogger(__name__)

RETRIED: Final = (429, 503)
"""Statuses with a Retry-After header."""
RETRY_AFTER_S: Final = 1
"""Default of the Retry-After header; QueueFull and TooManyCorrections have their own."""
FOREIGN: Final = re.compile("/v[12](/|$)")
"""Paths of the TensorFlow Serving and Open Inference protocols: `error` is a plain text, and a wrong value is 400."""


class Status(NamedTuple):
    """A status code, and the error code and message of exceptions that carry neither."""

    code: int
    name: str = ""
    message: str = ""
    foreign_code: int | None = None
    """Status code under `/v1` and `/v2` if different."""


STATUS: Final[dict[type[Exception], Status]] = {
    MalformedBody: Status(400),
    WrongValue: Status(422, foreign_code=400),
    TooLarge: Status(413),
    WrongMediaType: Status(415),
    NotAcceptable: Status(406),
    ModelNotLoaded: Status(404),
    VersionNotLoaded: Status(404),
    UnknownVerb: Status(404),
    UnknownPrediction: Status(404),
    UnknownCorrection: Status(404),
    FeedbackOff: Status(404),
    KeyReused: Status(409),
    FeedbackUnavailable: Status(503),
    TooManyCorrections: Status(429),
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
    ClientDisconnect: Status(499, "hung_up", "the client hung up"),  # for metrics: the client does not read it
    Exception: Status(500, "internal_error", "the service failed on this request; its log says how"),
}
EXPECTED: Final = tuple(kind for kind in STATUS if kind is not Exception)


def encode_problem(
    code: str, message: str, field: str | None = None, found: str | None = None, wanted: str | None = None
) -> bytes:
    """The body of an error response (status 4xx or 5xx); `error_schemas.Problem` describes the fields."""
    problem = {"code": code, "message": message, "field": field, "found": found, "wanted": wanted}
    return orjson.dumps({"error": problem}, option=orjson.OPT_APPEND_NEWLINE)


def encode_plain_error(message: str) -> bytes:
    """The body of an error response under `/v1` and `/v2`, whose protocols define `error` as a text."""
    return orjson.dumps({"error": message}, option=orjson.OPT_APPEND_NEWLINE)


class ErrorResponses:
    """Turns exceptions into responses. Calls `count` with each error code; `draining` returns the drain state."""

    def __init__(self, count: Callable[[str], None], draining: Callable[[], bool]) -> None:
        self._count, self._draining = count, draining

    def install(self, app: FastAPI) -> None:
        """Registers the exception handlers on an application."""
        for kind in STATUS:
            app.add_exception_handler(kind, self.of_error)
        app.add_exception_handler(HTTPException, self.of_http_exception)

    async def of_error(self, request: Request, error: Exception) -> Response:
        """The response to an exception, with the status code of its class in STATUS.

        An error that is expected keeps no memory: its tracebacks are dropped.
        """
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        if status.code == 500 and type(error) in STATUS:  # the server logs unexpected errors
            log.error("%s", error, exc_info=error.__cause__ or error)
        if isinstance(error, EXPECTED):
            release_frames(error)
        retry_after_s = error.retry_after_s if isinstance(error, QueueFull | TooManyCorrections) else RETRY_AFTER_S
        headers = {"Retry-After": str(retry_after_s)} if status.code in RETRIED else {}
        if status.code == 401:
            headers["WWW-Authenticate"] = "Bearer"
        self._count(error.code if isinstance(error, RequestError) else status.name)
        if FOREIGN.match(request.scope["path"]):
            status = status._replace(code=status.foreign_code or status.code)
        if isinstance(error, RequestError):
            return _response(
                request, status.code, error.code, str(error), error.field, error.found, error.wanted, headers=headers
            )
        message = status.message
        if isinstance(error, QueueFull):
            message = f"{error.waiting} pictures are waiting, and {error.limit_is}; try again later"
        return _response(request, status.code, status.name, message, headers=headers)

    async def of_base_exception(self, request: Request, error: BaseException) -> Response:
        """The response to any exception outside FastAPI: on the fast path and in the authentication middleware.

        A CancelledError gets a 503 while the service drains, and is raised again otherwise. Raises any other
        BaseException that is no Exception again.
        """
        if isinstance(error, asyncio.CancelledError):
            if not self._draining():
                raise error
            error = NotReady("draining", "the service has shut down before it had an answer")
        if not isinstance(error, Exception):
            raise error
        if not isinstance(error, EXPECTED):
            log.error("a request failed with an unexpected exception", exc_info=error)
            release_frames(error)
        return await self.of_error(request, error)

    async def of_http_exception(self, request: Request, error: Exception) -> Response:
        """The response to Starlette's own errors, such as 404 for an unknown path and 405 for a wrong method."""
        if not isinstance(error, HTTPException):
            raise TypeError(f"want an HTTPException, got {error!r}")
        method, path = request.method, request.scope["path"]
        if error.status_code == 404:
            message = f"there is nothing at {path}; /docs describes what there is"
            return _response(request, 404, "not_found", message, "path", path)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            message = f"{method} is not possible at {path}, want {allowed}"
            return _response(
                request, 405, "method_not_allowed", message, "method", method, allowed, headers=error.headers
            )
        return _response(request, error.status_code, "refused", str(error.detail), headers=error.headers)


def _response(
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
    if FOREIGN.match(request.scope["path"]):  # `request.url` takes as long as all else here
        body = encode_plain_error(message)
    else:
        body = encode_problem(code, message, field, found, wanted)
    return Response(body, status, headers=headers, media_type=JSON)
