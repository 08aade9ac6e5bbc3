"""What every protocol does between the head of a request and its answer: read, decode, batch, predict, remember."""

from __future__ import annotations

import time
from inspect import isawaitable
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from service.http.body import read_body
from service.http.disconnect import cancel_on_disconnect
from service.http.timeout import timeout_of
from service.observability.request_context import note_stage
from service.routes.dependencies import current_live, current_recent, current_settings, current_trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from service.headers import Headers
    from service.models.loaded_version import LoadedVersion
    from training.answers import Answers
    from training.images import Images

ID_HEADER: Final = b"x-prediction-id"


class Pictures(Protocol):
    """What a body comes to, in any protocol: pictures uint8 [n, 28, 28], and whatever its answer depends on."""

    @property
    def images(self) -> Images: ...


Asked = TypeVar("Asked", bound=Pictures)
Decode: TypeAlias = "Callable[[bytes, float], Asked | Awaitable[Asked]]"
"""Given a body, and until when its answer is of use; what takes long is awaited."""


class Inference(NamedTuple, Generic[Asked]):
    """What was asked, and the answers with the version that gave them."""

    asked: Asked
    version: LoadedVersion
    answers: Answers
    id_header: list[tuple[bytes, bytes]]
    """By what `POST /feedback` finds the pictures again; empty where nothing is remembered."""


async def infer(
    request: Request, headers: Headers, version: LoadedVersion, decode: Decode[Asked], *, named: bool
) -> Inference[Asked]:
    """The answer of a version, or of a challenger on trial if the request has not `named` the version.

    Raises what `decode`, `read_body`, `timeout_of` and `LoadedVersion.answer` raise.
    """
    settings, trial = current_settings(request), current_trial(request)
    deadline_s = time.monotonic() + timeout_of(headers, settings.timeout_limit_ms)
    version.batcher.check_room()  # a full queue is told before the body is read
    body = await read_body(request.receive, headers, settings.body_limit_bytes)
    began_s = time.perf_counter()
    decoded = decode(body, deadline_s)
    async with cancel_on_disconnect(request.receive):
        asked = await decoded if isawaitable(decoded) else decoded
        note_stage("decode", began_s)
        if trial and not named:
            challenger = current_live(request).model(version.name).challenger
            version, answers = await trial.answer(version, challenger, asked.images, deadline_s, headers)
        else:
            answers = await version.answer(asked.images, deadline_s)
    remember = current_recent(request).remember
    number = remember(asked.images, answers.probabilities, model=version.name, version=version.version)
    return Inference(asked, version, answers, [(ID_HEADER, number)] if number else [])


def model_headers(version: LoadedVersion) -> list[tuple[bytes, bytes]]:
    """Who answered, where the body has no place for it."""
    return [(b"x-model-name", version.name.encode()), (b"x-model-version", b"%d" % version.version)]
