"""Errors of requests, and their wording: what was found and what is wanted. Status codes are in `http`."""

from __future__ import annotations

from math import isfinite
from typing import Any

import orjson

from training.errors import DigitsError


class RequestError(DigitsError):
    """A request that can't be answered.

    `code` is for programs, the message for people; `field` says where (`instances[3]`), `found` what stood there and
    `wanted` what should have.
    """

    def __init__(
        self, code: str, message: str, *, field: str | None = None, found: str | None = None, wanted: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.field, self.found, self.wanted = code, field, found, wanted


class MalformedBody(RequestError):
    """The body can't be read at all: it is not UTF-8, not JSON, cut short."""


class WrongValue(RequestError):
    """The request can be read, and one of its values is not what it has to be."""


class TooLarge(RequestError):
    """A body of too many bytes or of too many pictures."""


class WrongMediaType(RequestError):
    """A body of a kind, or in an encoding, that is not spoken here."""


class NotAcceptable(RequestError):
    """The client takes no kind of answer that is spoken here."""


class ModelNotLoaded(RequestError):
    """No such model is loaded."""


class VersionNotLoaded(RequestError):
    """No such version or alias of a loaded model."""


class UnknownPrediction(RequestError):
    """A prediction that is not remembered, or not any more."""


class KeyReused(RequestError):
    """A client used the key of one correction for another one."""


class FeedbackOff(RequestError):
    """No corrections are taken here."""


class FeedbackUnavailable(RequestError):
    """The database of corrections does not do what it is asked, or too many are waiting for it."""


class NotReady(RequestError):
    """Nothing is loaded yet, the service is draining, or its engine has stopped."""


class Unauthorised(RequestError):
    """A management route was asked for without a key, or with one that is not known."""


class Forbidden(RequestError):
    """A management route was asked for where there is no management."""


class VersionRefused(RequestError):
    """A version that is wanted could not be loaded; what ran before goes on."""


class FollowsStore(RequestError):
    """A model is to be unloaded by request, where what is loaded follows the store."""


class BrokenAnswer(DigitsError):
    """A model answered with something that is not a probability: its fault, not the request's."""


def wrong_type(field: str, value: Any, wanted: str) -> WrongValue:
    """The error of a value of another type."""
    found = describe(value)
    return WrongValue("wrong_type", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def wrong_length(field: str, found: str, wanted: str) -> WrongValue:
    """The error of a list that is too short or too long."""
    return WrongValue("wrong_length", f"{field} has {found}, want {wanted}", field=field, found=found, wanted=wanted)


def out_of_range(field: str, value: float, wanted: str) -> WrongValue:
    """The error of a number that is too great or too small."""
    found = describe(value)
    return WrongValue("out_of_range", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def too_many_rows(rows: int, limit_rows: int, field: str | None = None) -> TooLarge:
    """The error of a request with more pictures than a request may have."""
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
    r"""The text, or its beginning when it is longer than the limit; half a surrogate pair as `\ud800`."""
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return short.encode(errors="backslashreplace").decode()
