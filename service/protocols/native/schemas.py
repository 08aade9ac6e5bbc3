"""The shapes of questions and answers, for the OpenAPI page and for tests; the hot route itself goes round them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.feedback.request import INDEX_LIMIT, VERSION_LIMIT
from training.images import CLASSES, PIXELS, SIDE
from training.store import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

Pixel: TypeAlias = Annotated[float, Field(ge=0)]
Flat: TypeAlias = Annotated[list[Pixel], Field(min_length=PIXELS, max_length=PIXELS, title="784 numbers, row by row")]
Line: TypeAlias = Annotated[list[Pixel], Field(min_length=SIDE, max_length=SIDE)]
Nested: TypeAlias = Annotated[list[Line], Field(min_length=SIDE, max_length=SIDE, title="28 rows of 28 numbers")]
Picture: TypeAlias = Flat | Nested
Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Scale: TypeAlias = Annotated[
    float, Field(ge=1e-300, le=1e300, description="The value that means full ink; 0 is background")
]


class OnePicture(BaseModel):
    """A question about one picture."""

    model_config = ConfigDict(extra="forbid")

    pixels: Picture
    scale: Scale = 255


class ManyPictures(BaseModel):
    """A question about a list of pictures."""

    model_config = ConfigDict(extra="forbid")

    instances: Annotated[list[Picture], Field(min_length=1)]
    scale: Scale = 255


Pixels: TypeAlias = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=PIXELS, max_length=PIXELS)]
RightDigit: TypeAlias = Annotated[int, Field(ge=0, lt=CLASSES, description="The digit that the picture shows")]


class PictureCorrection(OnePicture):
    """The right digit of a picture, and what was said of it if that is known."""

    digit: RightDigit
    model: Annotated[str | None, Field(description="The model that was wrong", pattern=f"^{NAME}$")] = None
    version: Annotated[int | None, Field(ge=1, le=VERSION_LIMIT, description="Its version")] = None
    predicted: Annotated[int | None, Field(ge=0, lt=CLASSES, description="What it took the picture for")] = None


class PredictionCorrection(BaseModel):
    """The right digit of a picture that has been sent to `/predict`."""

    model_config = ConfigDict(extra="forbid")

    prediction: Annotated[str, Field(description="The `X-Prediction-Id` of the answer")]
    index: Annotated[int, Field(ge=0, le=INDEX_LIMIT, description="Which one of its pictures, from 0")] = 0
    digit: RightDigit


class KeptCorrection(BaseModel):
    """A correction was kept, or had been kept before."""

    id: int
    new: Annotated[bool, Field(description="Whether it was not there before")]


class StoredCorrection(BaseModel):
    """A correction as it is kept."""

    id: int
    received: Annotated[datetime.datetime, Field(description="When, in UTC")]
    client_key: Annotated[str | None, Field(description="The `Idempotency-Key` that it came with")]
    model: str | None
    version: int | None
    predicted: int | None
    digit: RightDigit
    pixels: Annotated[Pixels, Field(description="Row by row, 255 is full ink")]


class CorrectionsPage(BaseModel):
    """Corrections, ascending by id."""

    corrections: list[StoredCorrection]
    next: Annotated[int | None, Field(description="The `after` of the next page; null when this is the last one")]


class ModelName(BaseModel):
    """Who answered: `GET /models/{name}/versions/{version}` has its card."""

    name: str
    version: int


class Prediction(BaseModel):
    """What one picture shows. All of it, unless `?fields=` asks for less."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required"))

    digit: Annotated[int, Field(ge=0, lt=CLASSES)]
    confidence: Annotated[Probability, Field(description="The probability of the digit")]
    probabilities: Annotated[
        list[Probability], Field(min_length=CLASSES, max_length=CLASSES, description="One for each digit, 0 to 9")
    ]
    accepted: Annotated[
        bool | None, Field(description="Whether the answer can be acted on; null where the version's card says nothing")
    ]
    reason: Annotated[
        Literal["uncertain", "not_a_digit"] | None, Field(description="Why it is not accepted; null if it is")
    ]
    prediction_set: Annotated[
        list[Annotated[int, Field(ge=0, lt=CLASSES)]] | None,
        Field(description="Digits, ascending, with the right one among them; only if asked for", min_length=1),
    ]
    pixels: Annotated[Pixels | None, Field(description="What the model saw, where `?fields=pixels` asks for it")] = None


class OneAnswer(Prediction):
    """The answer to `pixels`."""

    model_config = ConfigDict(json_schema_extra={"required": ["model"]})

    model: ModelName


class ManyAnswers(BaseModel):
    """The answer to `instances`, in the same order."""

    predictions: list[Prediction]
    model: ModelName


class Problem(BaseModel):
    """What is wrong and where."""

    code: Annotated[str, Field(description="For programs: it does not change when the message does")]
    message: Annotated[str, Field(description="For people: what was found and what is wanted")]
    field: Annotated[str | None, Field(description="Where: `instances[3]`")]
    found: Annotated[str | None, Field(description="What stood there")]
    wanted: Annotated[str | None, Field(description="What should have")]


class ErrorAnswer(BaseModel):
    """The body of every answer of status 4xx or 5xx."""

    error: Problem


class Health(BaseModel):
    """The process is alive, or ready."""

    status: str


class RefusedVersion(BaseModel):
    """A version that is wanted and could not be loaded."""

    name: str
    version: Annotated[int | None, Field(description="null: the store itself cannot be read")]
    reason: str
    times: Annotated[int, Field(description="How often it was tried")]


class TakenOut(BaseModel):
    """A challenger that answers no requests any more."""

    name: str
    version: int
    reason: str


class LoadedVersionSummary(BaseModel):
    """A version that answers requests."""

    name: str
    version: int
    aliases: Annotated[list[str], Field(description="What else it can be called in `?version=`")]
    default: Annotated[bool, Field(description="Whether it answers when a request names no model and no version")]


class LoadedModels(BaseModel):
    """All that is loaded."""

    models: list[LoadedVersionSummary]


class Readiness(Health):
    """The service is ready; verbose, also for what."""

    models: list[LoadedVersionSummary] | None = None
    refused: Annotated[list[RefusedVersion] | None, Field(description="What is wanted and stays out")] = None
    taken_out: Annotated[list[TakenOut] | None, Field(description="Challengers that failed their trial")] = None


class VersionCard(BaseModel):
    """The card of a loaded version: layers, recipe, data, metrics, code, libraries."""

    name: str
    version: int
    aliases: list[str]
    card: dict[str, Any]


ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: (
        "The body can't be read",
        ("empty_body", "not_utf8", "invalid_json", "invalid_npy", "invalid_compression", "invalid_picture"),
    ),
    401: ("The management key is missing or not known", ("missing_key", "wrong_key")),
    403: ("Management is closed", ("management_closed",)),
    404: ("The model or the version is not loaded", ("unknown_model", "unknown_version")),
    406: ("The client takes no kind of answer that is spoken here", ("not_acceptable",)),
    409: ("A version could not be loaded; what ran before goes on", ("version_refused",)),
    413: (
        "The body is too long, or has too many pictures or pixels",
        ("body_too_large", "too_many_pictures", "picture_too_large"),
    ),
    415: (
        "The body is of no kind that is spoken here, or compressed in a way that is not",
        ("unsupported_media_type", "mismatched_media_type", "unsupported_charset", "unsupported_encoding"),
    ),
    422: (
        "A value is not what it has to be",
        (
            "wrong_type",
            "wrong_length",
            "out_of_range",
            "empty",
            "missing_field",
            "conflicting_fields",
            "unknown_field",
            "unknown_parameter",
            "repeated_parameter",
            "empty_parameter",
            "animated_picture",
            "no_ink",
        ),
    ),
    500: ("The service failed; its log says how", ("prediction_failed", "internal_error")),
    503: ("No answer now; try again after `Retry-After`", ("queue_full", "loading", "draining", "engine_stopped")),
    504: ("No answer within `X-Timeout-Ms` or the limit of the service", ("deadline_exceeded",)),
}
"""Status -> what it means, and the codes that come with it."""
FEEDBACK_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = ERRORS | {
    404: (
        "The prediction is not known any more, or no corrections are taken here",
        ("unknown_prediction", "feedback_off"),
    ),
    409: ("The `Idempotency-Key` came with another correction before", ("key_reused",)),
    422: (ERRORS[422][0], (*ERRORS[422][1], "invalid_key", "invalid_name")),
    503: ("The database does not answer now; try again after `Retry-After`", ("feedback_busy", "feedback_unavailable")),
}
"""The same of `/feedback`."""


def error_answers(
    *statuses: int, errors: Mapping[int, tuple[str, tuple[str, ...]]] = ERRORS
) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI page says about the errors of a path."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": f"{errors[status][0]}. Codes: {', '.join(f'`{code}`' for code in errors[status][1])}",
            **(
                {"headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}}
                if status == 503
                else {}
            ),
        }
        for status in statuses
    }
