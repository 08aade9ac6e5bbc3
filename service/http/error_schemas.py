"""OpenAPI schemas of error responses: the native form, and the plain form of `/v1` and `/v2`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class PlainError(BaseModel):
    """The body of every answer of status 4xx or 5xx under `/v1` and `/v2`."""

    error: str = Field(description="What was found and what is wanted")


ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: (
        "The body can't be read",
        (
            *("empty_body", "not_utf8", "invalid_json", "invalid_npy", "invalid_compression", "invalid_picture"),
            "invalid_form",
        ),
    ),
    401: ("The key is missing or not known", ("missing_key", "wrong_key")),
    403: (
        "The key is for something else, or there is no file of keys that can be read",
        ("wrong_right", "management_closed", "predict_closed", "metrics_closed"),
    ),
    404: ("The model or the version is not loaded", ("unknown_model", "unknown_version")),
    406: ("The client takes no kind of answer that is spoken here", ("not_acceptable",)),
    409: ("A version could not be loaded; what ran before goes on", ("version_refused",)),
    413: (
        "The body is too long, or has too many pictures or pixels",
        ("body_too_large", "too_many_pictures", "too_many_parts", "picture_too_large"),
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
    503: (
        "No answer now; try again after `Retry-After`",
        ("queue_full", "loading", "draining", "engine_stopped", "store_timeout"),
    ),
    504: ("No answer within `X-Timeout-Ms` or the limit of the service", ("deadline_exceeded",)),
}
"""Status -> its description, and the error codes with this status."""
FEEDBACK_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = ERRORS | {
    404: (
        "The prediction is not known any more, the correction is not known, or no corrections are taken here",
        ("unknown_prediction", "unknown_correction", "feedback_off"),
    ),
    409: ("The `Idempotency-Key` came with another correction before", ("key_reused",)),
    422: (ERRORS[422][0], (*ERRORS[422][1], "invalid_key", "invalid_name")),
    429: ("Too many corrections from one client; try again after `Retry-After`", ("too_many_corrections",)),
    503: ("The database does not answer now; try again after `Retry-After`", ("feedback_busy", "feedback_unavailable")),
}
"""Like ERRORS, for `/feedback`."""
PLAIN_MEANINGS = {
    400: "The body can't be read, or a value is not what it has to be",
    409: "A version could not be loaded, or a model can't be unloaded; what ran before goes on",
}
"""Status -> its description under `/v1` and `/v2`, where it differs from ERRORS."""


def error_answers(
    *statuses: int, errors: Mapping[int, tuple[str, tuple[str, ...]]] = ERRORS
) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a path for these error statuses."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": f"{errors[status][0]}. Codes: {', '.join(f'`{code}`' for code in errors[status][1])}",
            **(
                {"headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}}
                if status in (429, 503)
                else {}
            ),
        }
        for status in statuses
    }


def plain_error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a path under `/v1` or `/v2` for these error statuses."""
    known = error_answers(*statuses)
    return {
        status: {
            **known[status],
            "model": PlainError,
            "description": PLAIN_MEANINGS.get(status, known[status]["description"].partition(". Codes:")[0]),
        }
        for status in statuses
    }
