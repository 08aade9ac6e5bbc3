"""Bodies of requests -> pictures uint8 [n, 28, 28], or an error that says exactly what is wrong and where.

What is right is recognised at the speed of C. What most clients send is read without any Python object for a number
(`native.fast_json`). Of all else, `bytes(list)` takes whole numbers from 0 to 255 and nothing else but booleans,
`array` takes numbers and nothing else but booleans. Only a body that is wrong is walked value by value.
"""

from __future__ import annotations

import json
from array import array
from contextlib import suppress
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import orjson

from service.errors import MalformedBody, TooLarge, WrongValue
from service.protocols.native.fast_json import whole_numbers
from training.images import FULL_INK, PIXELS, SIDE, quantise

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.images import Images

    Fields = Callable[[int], str]

Result = TypeVar("Result")

FORM: Final = f"{PIXELS} ({SIDE} x {SIDE}, row by row)"
PICTURE: Final = f"a list of {PIXELS} numbers or of {SIDE} rows of {SIDE}"
SCALES: Final = (1e-300, 1e300)
"""The scales that 64-bit arithmetic can divide by and multiply with."""
LENIENT_LIMIT_BYTES: Final = 2**18
"""A list of a hundred pictures; read in 30 ms."""


class ObjectForm(NamedTuple):
    """What an object in a body may have: its keys, or none for any; the same in words, and an example of the whole."""

    keys: tuple[str, ...]
    known: str
    wanted: str


QUESTION: Final = ObjectForm(
    ("pixels", "instances", "scale"),
    '"pixels" or "instances", and "scale"',
    '{"pixels": [784 numbers]} or {"instances": [[784 numbers], …]}',
)


class Decoded(NamedTuple):
    """Pictures uint8 [n, 28, 28], and whether they came as a list of pictures: the answer takes the same form."""

    images: Images
    many: bool


def decode_json(body: bytes, *, limit_rows: int) -> Decoded:
    """The pictures of a JSON body. Raises MalformedBody, WrongValue, TooLarge."""
    usual = whole_numbers(body)
    if usual and len(usual[0]) <= limit_rows:
        return Decoded(*usual)
    return read_object(body, QUESTION, lambda request, booleans: _decode(request, limit_rows, booleans))


def _decode(request: dict[str, Any], limit_rows: int, booleans: bool) -> Decoded:
    """The pictures of an object; `booleans` says that true or false occur somewhere in it."""
    if one_of(request, "pixels", "instances", QUESTION) == "pixels":
        return Decoded(decode_pixels(request, booleans), many=False)
    scale = scale_of(request)
    instances = check_pictures(request["instances"], "instances", limit_rows)
    return Decoded(decode_pictures(instances, "instances[{}]".format, scale, booleans), many=True)


def decode_pixels(request: dict[str, Any], booleans: bool) -> Images:
    """The picture uint8 [1, 28, 28] of an object with "pixels", and perhaps "scale". Raises WrongValue."""
    return decode_pictures([request["pixels"]], lambda _: "pixels", scale_of(request), booleans)


def check_pictures(pictures: Any, field: str, limit_rows: int) -> list[Any]:
    """What is a list of at least one picture and not too many, whatever these are. Raises WrongValue, TooLarge."""
    if type(pictures) is not list:
        raise wrong_type(field, pictures, "a list of pictures")
    if not pictures:
        message = f"{field} is empty, want at least one picture"
        raise WrongValue("empty", message, field=field, found="an empty list", wanted=PICTURE)
    if len(pictures) > limit_rows:
        raise too_many_rows(len(pictures), limit_rows, field=field)
    return pictures


def too_many_rows(rows: int, limit_rows: int, field: str | None = None) -> TooLarge:
    """The error of a request with more pictures than a request may have."""
    return TooLarge(
        "too_many_pictures",
        f"{field or 'the body'} has {rows} pictures, want at most {limit_rows} in a request",
        field=field,
        found=f"{rows} pictures",
        wanted=f"at most {limit_rows}",
    )


def read_object(body: bytes, form: ObjectForm, decode: Callable[[dict[str, Any], bool], Result]) -> Result:
    """What `decode` makes of a JSON object with no other keys than the form, and of whether it may have booleans.

    Raises what that does, MalformedBody and WrongValue.
    """
    booleans = b"true" in body or b"false" in body  # Python takes them for 1 and 0
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body or "infinity" in error.msg:
            lenient = _not_finite(body)
            if lenient is not None:
                decode(_checked(lenient, form), booleans)  # which refuses the first of them with its place
        raise _malformed(body, error, form.wanted) from None
    return decode(_checked(request, form), booleans)


def _checked(request: Any, form: ObjectForm) -> dict[str, Any]:
    """The request, if it is an object with fields that are known. Raises WrongValue."""
    if type(request) is not dict:
        found = describe(request)
        message = f"the body is {found}, want an object: {form.wanted}"
        raise WrongValue("wrong_type", message, found=found, wanted=form.wanted)
    for key in request:
        if form.keys and key not in form.keys:
            name = orjson.dumps(shortened(key)).decode()
            raise WrongValue(
                "unknown_field",
                f"{name} is not known here, want {form.known}",
                field=shortened(key),
                found=name,
                wanted=form.known,
            )
    return request


def one_of(request: dict[str, Any], one: str, other: str, form: ObjectForm) -> str:
    """Which one of two keys an object has. Raises WrongValue when it has both or neither."""
    if (one in request) != (other in request):
        return one if one in request else other
    found = f'both "{one}" and "{other}"' if one in request else f'neither "{one}" nor "{other}"'
    code = "conflicting_fields" if one in request else "missing_field"
    message = f"the body has {found}, want one of them: {form.wanted}"
    raise WrongValue(code, message, found=found, wanted=form.wanted)


def _not_finite(body: bytes) -> Any:
    """A body that is JSON but for NaN and infinities, so that these can be refused with their place; or None.

    None for long bodies, too: Python takes its time over them, and everybody else would have to wait.
    """
    if len(body) > LENIENT_LIMIT_BYTES:
        return None
    try:
        return json.loads(body.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(text: str) -> float:
    """As orjson reads it: what 64 bits can't hold becomes a float."""
    return int(text) if len(text) < 19 else float(text)


def _malformed(body: bytes, error: orjson.JSONDecodeError, wanted: str) -> MalformedBody:
    if not body.strip():
        return MalformedBody("empty_body", f"the body is empty, want {wanted}", found="nothing", wanted=wanted)
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        found = f"byte 0x{body[wrong.start]:02x} at offset {wrong.start}"
        return MalformedBody("not_utf8", f"the body is not UTF-8: {found}", found=found, wanted="JSON in UTF-8")
    found = f"{error.msg} at line {error.lineno}, column {error.colno}"
    return MalformedBody("invalid_json", f"the body is not valid JSON: {found}", found=found, wanted="JSON (RFC 8259)")


def scale_of(request: dict[str, Any], field: str = "scale") -> float:
    """What an object says of the value of full ink, 255 if it says nothing. Raises WrongValue."""
    if "scale" not in request:
        return FULL_INK
    value = request["scale"]
    if type(value) not in (int, float):
        raise wrong_type(field, value, "a number, the value that means full ink")
    if not SCALES[0] <= value <= SCALES[1]:
        raise out_of_range(field, value, f"a number from {SCALES[0]:g} to {SCALES[1]:g}, the value that means full ink")
    return float(value)


def decode_pictures(pictures: list[Any], fields: Fields, scale: float, booleans: bool) -> Images:
    """Pictures uint8 [n, 28, 28]. `booleans` says that true or false occur somewhere in the body."""
    if not booleans:
        if scale == FULL_INK:
            with suppress(TypeError, ValueError):
                return np.frombuffer(b"".join([bytes(_flat(picture)) for picture in pictures]), np.uint8).reshape(
                    -1, SIDE, SIDE
                )
        with suppress(TypeError, ValueError):
            return quantise(_numbers(pictures), scale)
    for i, picture in enumerate(pictures):
        if booleans or not _is_right(picture, scale):
            _refuse_what_is_wrong(picture, fields(i), scale)
    return quantise(_numbers(pictures), scale)


def _is_right(picture: Any, scale: float) -> bool:
    """Whether a picture is as it should be, if it has no booleans; said at the speed of C, and not what is wrong."""
    try:
        numbers = _numbers([picture])
    except (TypeError, ValueError, OverflowError):
        return False
    return bool((numbers >= 0).all() and (numbers <= scale).all())


def _flat(picture: Any) -> Any:
    """784 values of either form; raises TypeError or ValueError for other lengths and for what has none.

    A string or an object of the right length passes, as a list of strings: no string passes for a number.
    """
    if len(picture) == PIXELS:
        return picture
    if len(picture) != SIDE or any(len(row) != SIDE for row in picture):
        raise ValueError
    return [*chain.from_iterable(picture)]


def _numbers(pictures: list[Any]) -> np.ndarray:
    """Numbers float64 [n, 784]. Raises TypeError or ValueError for whatever is not a number; takes booleans."""
    numbers = array("d")
    for picture in pictures:
        numbers.fromlist(_flat(picture))
    return np.frombuffer(numbers).reshape(-1, PIXELS)


def _refuse_what_is_wrong(picture: Any, field: str, scale: float) -> None:
    """Raises WrongValue for the first thing in a picture that is wrong."""
    if type(picture) is not list:
        raise wrong_type(field, picture, PICTURE)
    if not (picture and type(picture[0]) is list):
        if len(picture) != PIXELS:
            raise wrong_length(field, _count(picture, "pixel"), FORM)
        _refuse_wrong_pixels(picture, field, scale)
        return
    if len(picture) != SIDE:
        raise wrong_length(field, _count(picture, "row"), f"{SIDE} rows of {SIDE} pixels")
    for i, row in enumerate(picture):
        if type(row) is not list:
            raise wrong_type(f"{field}[{i}]", row, f"a row of {SIDE} numbers")
        if len(row) != SIDE:
            raise wrong_length(f"{field}[{i}]", _count(row, "pixel"), f"{SIDE}")
        _refuse_wrong_pixels(row, f"{field}[{i}]", scale)


def _refuse_wrong_pixels(values: list[Any], field: str, scale: float) -> None:
    for i, value in enumerate(values):
        wanted = "a number from 0 to"
        if type(value) not in (int, float):
            raise wrong_type(f"{field}[{i}]", value, f"{wanted} {scale:.15g}")
        if not 0 <= value <= scale:
            raise out_of_range(f"{field}[{i}]", value, f"{wanted} {scale:.15g}")


def out_of_range(field: str, value: float, wanted: str) -> WrongValue:
    """The error of a number that is too great or too small."""
    found = describe(value)
    return WrongValue("out_of_range", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def wrong_type(field: str, value: Any, wanted: str) -> WrongValue:
    """The error of a value of another type."""
    found = describe(value)
    return WrongValue("wrong_type", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def wrong_length(field: str, found: str, wanted: str) -> WrongValue:
    """The error of a list that is too short or too long."""
    return WrongValue("wrong_length", f"{field} has {found}, want {wanted}", field=field, found=found, wanted=wanted)


def _count(values: list[Any], noun: str) -> str:
    return f"{len(values)} {noun}" if len(values) == 1 else f"{len(values)} {noun}s"


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
