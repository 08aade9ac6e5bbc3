"""Request errors and their wording: what was found and what is wanted. Status codes are in `http`."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import orjson

from training.errors import DigitsError

TYPED_ARRAY_HINT: Final = (
    "; JSON.stringify makes an object of a typed array, such as Uint8Array: Array.from(array) makes a list of it"
)

IMAGE_TEXT_HINT: Final = (
    "; an image file is sent as it is, not as a text: POST /predict with Content-Type: image/png, or a form"
)
IMAGE_TEXTS: Final = ("data:", "iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""How a text begins that is a data URL, or the base64 of a PNG, JPEG, GIF or WebP file."""


class RequestError(DigitsError):
    """Base class of the errors that a client is sent.

    `code` is for programs, the message for people. `field` is the place in the request (`instances[3]`), `found` the
    value at that place, `wanted` the allowed values.
    """

    def __init__(
        self, code: str, message: str, *, field: str | None = None, found: str | None = None, wanted: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.field, self.found, self.wanted = code, field, found, wanted

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: errors come from other processes, too."""
        return _restored, (type(self), self.code, str(self), self.field, self.found, self.wanted)


def _restored(
    kind: type[RequestError], code: str, message: str, field: str | None, found: str | None, wanted: str | None
) -> RequestError:
    return kind(code, message, field=field, found=found, wanted=wanted)


class MalformedBody(RequestError):
    """The body cannot be parsed: it is not UTF-8, not JSON, damaged, or cut short."""


class WrongValue(RequestError):
    """The request can be parsed, but a value has a wrong type, a wrong length, or is out of range."""


class TooLarge(RequestError):
    """The body has too many bytes, pictures, or pixels."""


class WrongMediaType(RequestError):
    """The media type, charset, or encoding of the body is not supported."""


class NotAcceptable(RequestError):
    """The client accepts none of the supported media types."""


class ModelNotLoaded(RequestError):
    """The model that a request names is not loaded."""


class VersionNotLoaded(RequestError):
    """The model is loaded, but not the version or alias that a request names."""


class UnknownVerb(RequestError):
    """A path of `/v1` ends with a verb other than `:predict`."""


class UnknownPrediction(RequestError):
    """The prediction id is unknown or has been overwritten."""


class UnknownCorrection(RequestError):
    """There is no correction with this id, or none that the key of the request was sent with."""


class KeyReused(RequestError):
    """An idempotency key was used before with another correction."""


class FeedbackOff(RequestError):
    """Feedback is off: the service has no database of corrections."""


class FeedbackUnavailable(RequestError):
    """The database of corrections fails or is too slow, or too many requests wait for it."""


class TooManyCorrections(RequestError):
    """A client sends more corrections than the limit allows; `retry_after_s` is in whole seconds."""

    def __init__(self, per_minute: int, retry_after_s: int) -> None:
        wanted = f"at most {per_minute} in a minute"
        message = f"there are too many corrections from this client, want {wanted}; try again in {retry_after_s} s"
        super().__init__("too_many_corrections", message, wanted=wanted)
        self.retry_after_s = retry_after_s


class NotReady(RequestError):
    """Not ready: no model is loaded, the service drains, an engine has stopped, the store hangs, a queue is full."""


class Unauthorised(RequestError):
    """The API key of a request is missing or unknown."""


class Forbidden(RequestError):
    """The API key lacks the right for this route, or there is no readable key file."""


class VersionRefused(RequestError):
    """A wanted version could not be loaded; the running versions go on."""


class FollowsStore(RequestError):
    """A request to unload a model; only the store decides which models are loaded."""


class BrokenAnswer(DigitsError):
    """A model returned probabilities that are not finite: the model's fault, not the request's."""


def wrong_type(field: str, value: Any, wanted: str) -> WrongValue:
    """The error for a JSON value of a wrong type."""
    found = describe(value)
    hint = TYPED_ARRAY_HINT if is_typed_array(value) else IMAGE_TEXT_HINT if is_image_text(value) else ""
    message = f"{field} is {found}, want {wanted}{hint}"
    return WrongValue("wrong_type", message, field=field, found=found, wanted=wanted)


def is_image_text(value: Any) -> bool:
    """Whether a JSON value is an image file as a text: a data URL, as of a canvas, or base64."""
    return type(value) is str and value.startswith(IMAGE_TEXTS)


def is_typed_array(value: Any) -> bool:
    """Whether a JSON value is an object that JSON.stringify makes of a typed array or of a Buffer of Node.js."""
    return type(value) is dict and ("0" in value or (value.get("type") == "Buffer" and "data" in value))


def wrong_length(field: str, found: str, wanted: str, hint: str = "") -> WrongValue:
    """The error for a list that is too short or too long; the hint ends its message."""
    message = f"{field} has {found}, want {wanted}{hint}"
    return WrongValue("wrong_length", message, field=field, found=found, wanted=wanted)


def out_of_range(field: str, value: float, wanted: str) -> WrongValue:
    """The error for a number that is too great or too small."""
    found = describe(value)
    return WrongValue("out_of_range", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def too_many_rows(rows: int, limit_rows: int, field: str | None = None) -> TooLarge:
    """The error for a request with more than `limit_rows` pictures."""
    return TooLarge(
        "too_many_pictures",
        f"{field or 'the body'} has {rows} pictures, want at most {limit_rows} in a request",
        field=field,
        found=f"{rows} pictures",
        wanted=f"at most {limit_rows}",
    )


def describe(value: Any) -> str:
    """A JSON value in a few words: `"7" (a string)`, `true (a boolean)`, `a list of 3`, `256`."""
    match value:
        case None:
            return "null"
        case bool():
            return f"{str(value).lower()} (a boolean)"
        case str():
            return f"{orjson.dumps(shortened(value)).decode()} (a string)"
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return "an object"
        case float() if not isfinite(value):
            return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
        case _:
            return repr(value)


def shortened(text: str, limit: int = 40) -> str:
    r"""The text, cut to `limit` characters; a lone surrogate becomes `\ud800`."""
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return short.encode(errors="backslashreplace").decode()
