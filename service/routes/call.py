"""An inference call of any protocol: deadline, backpressure, prediction, prediction id.

Every predicting route is one pipeline: `begin_call`, `read_body`, decode, `call.predict`, encode.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from service.feedback.recent_predictions import HEADER
from service.http.disconnect import cancel_on_disconnect
from service.http.timeout import timeout_of
from service.protocols.warnings import frame_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Receive

    from service.headers import Headers
    from service.models.loaded_version import LoadedVersion
    from service.protocols.warnings import FrameWarning
    from service.state import ServiceState
    from training.answers import Answers
    from training.images import Images
    from training.reading import Reading

    Read = Callable[[Answers], Reading]

ID_HEADER: Final = HEADER.lower().encode()


class Prediction(NamedTuple):
    """Answers, and the version that computed them."""

    version: LoadedVersion
    answers: Answers
    id_header: list[tuple[bytes, bytes]]
    """The X-Prediction-Id header, for `POST /feedback`; empty if no recent predictions are stored."""
    reading: Reading | None = None
    """What was read in an image file."""


class Call(NamedTuple):
    """A call in progress: the resolved version, and the deadline in `time.monotonic()` seconds."""

    state: ServiceState
    headers: Headers
    version: LoadedVersion
    deadline_s: float
    receive: Receive

    async def predict(self, images: Images, *, pinned: bool, read: Read | None = None) -> Prediction:
        """The prediction for images uint8 [n, 28, 28]. A canary may answer unless `pinned` to the version.

        `read` chooses among the answers to pieces of a picture.

        Raises the errors of `LoadedVersion.predict`, and ClientDisconnect.
        """
        state, version = self.state, self.version
        experiment = None if pinned else state.experiment
        alone = len(state.requests) == 1
        answers = None if experiment else version.predict_now(images, self.deadline_s, alone=alone)
        if answers is None:
            async with cancel_on_disconnect(self.receive):
                if experiment:
                    challenger = state.registry.model(version.name).challenger
                    version, answers = await experiment.predict(
                        version, challenger, images, self.deadline_s, self.headers
                    )
                else:
                    answers = await version.predict(images, self.deadline_s)
        reading = read(answers) if read else None
        if reading:
            images, answers = images[reading.rows], reading.answers
        prediction_id = state.recent.remember(
            images, answers.probabilities, model=version.name, version=version.version
        )
        return Prediction(version, answers, [(ID_HEADER, prediction_id)] if prediction_id else [], reading)

    async def warnings(self, answers: Answers, images: Images) -> Sequence[FrameWarning]:
        """Warnings about images uint8 [n, 28, 28] by their answers. Raises the errors of `Offload.run`."""
        look = partial(frame_warnings, answers, images, many=True)
        return await self.state.offload.encode(look, len(images), self.deadline_s)


def begin_call(state: ServiceState, headers: Headers, version: LoadedVersion, receive: Receive, rows: int = 1) -> Call:
    """Begins the call of a request of at least `rows` pictures, before its body is read.

    Raises WrongValue for a wrong X-Timeout-Ms, and QueueFull, Closed or EngineDead (backpressure).
    """
    deadline_s = time.monotonic() + timeout_of(headers, state.settings.timeout_limit_ms)
    version.batcher.check_room(rows, deadline_s)
    return Call(state, headers, version, deadline_s, receive)


def model_headers(version: LoadedVersion) -> list[tuple[bytes, bytes]]:
    """Headers with the answering model and version, for bodies without them."""
    return [(b"x-model-name", version.name.encode()), (b"x-model-version", b"%d" % version.version)]
