"""An inference call, whatever its protocol: deadline, room in the queue, prediction, prediction id.

Every predicting route reads as one pipeline: `begin_call`, `read_body`, decode, `call.predict`, encode.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from service.http.timeout import timeout_of

if TYPE_CHECKING:
    from service.headers import Headers
    from service.models.loaded_version import LoadedVersion
    from service.state import ServiceState
    from training.answers import Answers
    from training.images import Images

ID_HEADER: Final = b"x-prediction-id"


class Prediction(NamedTuple):
    """Answers, and the version that gave them."""

    version: LoadedVersion
    answers: Answers
    id_header: list[tuple[bytes, bytes]]
    """The header with the id by which `POST /feedback` finds the pictures; empty where no predictions are kept."""


class Call(NamedTuple):
    """A call that was begun: the version that is to answer, and the deadline as `time.monotonic` counts."""

    state: ServiceState
    headers: Headers
    version: LoadedVersion
    deadline_s: float

    async def predict(self, images: Images, *, pinned: bool) -> Prediction:
        """The prediction for images uint8 [n, 28, 28].

        A challenger may answer unless the request has `pinned` the version. Raises what `LoadedVersion.predict` does.
        """
        state, version = self.state, self.version
        if state.experiment and not pinned:
            challenger = state.registry.model(version.name).challenger
            version, answers = await state.experiment.predict(
                version, challenger, images, self.deadline_s, self.headers
            )
        else:
            answers = await version.predict(images, self.deadline_s)
        number = state.recent.remember(images, answers.probabilities, model=version.name, version=version.version)
        return Prediction(version, answers, [(ID_HEADER, number)] if number else [])


def begin_call(state: ServiceState, headers: Headers, version: LoadedVersion) -> Call:
    """The call of a request whose body has not been read yet.

    Raises WrongValue for a wrong X-Timeout-Ms; QueueFull, Closed and EngineDead when the engine takes no more rows.
    """
    deadline_s = time.monotonic() + timeout_of(headers, state.settings.timeout_limit_ms)
    version.batcher.check_room()
    return Call(state, headers, version, deadline_s)


def model_headers(version: LoadedVersion) -> list[tuple[bytes, bytes]]:
    """Headers with the model and version that answered, for bodies that do not say it."""
    return [(b"x-model-name", version.name.encode()), (b"x-model-version", b"%d" % version.version)]
