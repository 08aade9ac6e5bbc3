"""JSON objects in request bodies: read fast, checked for their fields, and refused with what was found and wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import orjson

from service.errors import MalformedBody, WrongValue, describe, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

LENIENT_LIMIT_BYTES: Final = 2**18
"""A list of a hundred pictures; read in 30 ms."""
OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
"""How answers are written: float32 as 0.998 and not 0.9980000257492065, and with a newline for the prompt of curl."""


class ObjectForm(NamedTuple):
    """What an object in a body may have: its keys, or none for any; the same in words, and an example of the whole."""

    keys: tuple[str, ...]
    known: str
    wanted: str


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
