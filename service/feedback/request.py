"""Bodies of `POST /feedback` -> corrections, or an error with the place of the wrong value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from service.errors import WrongValue, describe, out_of_range, shortened, wrong_type
from service.protocols.json_body import ObjectForm, one_of, read_object
from service.protocols.json_pictures import decode_pixels
from training.images import CLASSES
from training.store import NAME, VERSION_LIMIT

if TYPE_CHECKING:
    from service.headers import Headers

KEY_HEADER: Final = "Idempotency-Key"
KEY: Final = r"[!-~]{1,200}"
INDEX_LIMIT: Final = 2**31 - 1
ABOUT_PICTURE: Final = ("scale", "model", "version", "predicted")
CORRECTION: Final = ObjectForm(
    ("digit", "pixels", *ABOUT_PICTURE, "prediction", "index"),
    '"digit", and "pixels" with "scale", "model", "version", "predicted", or "prediction" with "index"',
    '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
)
SEVERAL: Final = "each picture has a correction of its own"


class SentPicture(NamedTuple):
    """A picture uint8 [784], row by row, and the digit that a version of a model predicted, if known."""

    model: str | None
    version: int | None
    predicted: int | None
    pixels: bytes


class NamedPrediction(NamedTuple):
    """The prediction id of a request, and the index of a picture in the request."""

    prediction: str
    picture_index: int


class PostedCorrection(NamedTuple):
    """The right digit of a picture, which is sent or named by its prediction."""

    digit: int
    picture: SentPicture | NamedPrediction


def decode_correction(body: bytes) -> PostedCorrection:
    """The correction in a JSON body. Raises MalformedBody, WrongValue."""
    return read_object(body, CORRECTION, _decode)


def _decode(request: dict[str, Any], booleans: bool) -> PostedCorrection:
    """The correction in an object; `booleans`: whether the body may contain true or false."""
    if "digit" not in request:
        message = f'the body has no "digit", want {CORRECTION.wanted}'
        raise WrongValue("missing_field", message, field="digit", found="nothing", wanted="a whole number from 0 to 9")
    kind = one_of(request, "pixels", "prediction", CORRECTION)
    for field in ABOUT_PICTURE if kind == "prediction" else ("index",):
        if field in request:
            raise WrongValue(
                "conflicting_fields",
                f'the body has both "{kind}" and "{field}", want {CORRECTION.known}',
                field=field,
                found=f'both "{kind}" and "{field}"',
                wanted=CORRECTION.known,
            )
    digit = _whole("digit", request["digit"], 0, CLASSES - 1)
    if kind == "prediction":
        if type(request["prediction"]) is not str:
            raise wrong_type("prediction", request["prediction"], "the id of a prediction, a string")
        return PostedCorrection(
            digit, NamedPrediction(request["prediction"], _whole("index", request.get("index", 0), 0, INDEX_LIMIT))
        )
    model, version, predicted = (request.get(field) for field in ("model", "version", "predicted"))
    return PostedCorrection(
        digit,
        SentPicture(
            None if model is None else _model(model),
            None if version is None else _whole("version", version, 1, VERSION_LIMIT),
            None if predicted is None else _whole("predicted", predicted, 0, CLASSES - 1),
            decode_pixels(request, booleans, several=SEVERAL).tobytes(),
        ),
    )


def client_key(headers: Headers) -> str | None:
    """The Idempotency-Key of a request, or None. Raises WrongValue."""
    given = headers.get(KEY_HEADER.lower().encode())
    if given is None:
        return None
    key = given.decode("latin-1")
    if not re.fullmatch(KEY, key):
        found, wanted = f"{len(key)} characters", "1 to 200 visible characters of ASCII"
        message = f"{KEY_HEADER} is {shortened(key)!r} ({found}), want {wanted}"
        raise WrongValue("invalid_key", message, field=KEY_HEADER, found=found, wanted=wanted)
    return key


def _whole(field: str, value: Any, least: int, most: int) -> int:
    """A whole number from `least` to `most`, 7.0 included. Raises WrongValue."""
    wanted = f"a whole number from {least} to {most}"
    if type(value) not in (int, float):
        raise wrong_type(field, value, wanted)
    if not least <= value <= most or value != int(value):
        raise out_of_range(field, value, wanted)
    return int(value)


def _model(value: Any) -> str:
    wanted = "a model's name: lower-case letters, digits, - and _, at most 64"
    if type(value) is not str:
        raise wrong_type("model", value, wanted)
    if not re.fullmatch(NAME, value):
        found = describe(value)
        message = f"model is {found}, want {wanted}"
        raise WrongValue("invalid_name", message, field="model", found=found, wanted=wanted)
    return value
