"""JSON objects in request bodies: parsing with orjson, allowed fields, and errors for malformed JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import orjson

from service.errors import MalformedBody, TooLarge, WrongValue, describe, shortened
from service.http.media_types import misplaced
from training.images import PIXELS, SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

COUNTS_SPARE: Final = 1000
"""Values, lists and objects that a body may have beside its pictures."""
LENIENT_LIMIT_BYTES: Final = 2**18
"""Maximum size of a body that Python's slow JSON parser reads after an error: 100 pictures, 30 ms."""
COUNTED_BYTES: Final = 2**17
"""Size above which the values of a body are counted before it is parsed: each may take 30 times its bytes in memory."""
OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
"""orjson options of response bodies: float32 as 0.998, not 0.9980000257492065; a newline at the end, for curl."""


class ObjectForm(NamedTuple):
    """The allowed keys of a JSON object (empty: any key), and two texts for errors: `known` keys, `wanted` object.

    `of_query`: keys that are parameters of the query.
    """

    keys: tuple[str, ...]
    known: str
    wanted: str
    of_query: tuple[str, ...] = ()


def read_object(
    body: bytes, form: ObjectForm, decode: Callable[[dict[str, Any], bool], Result], *, limit_rows: int = 1
) -> Result:
    """Parses a JSON object, checks its keys, and returns `decode(object, booleans)`.

    `booleans` is whether the body may contain true or false. Raises MalformedBody, WrongValue, TooLarge for more
    values than `limit_rows` pictures have, and the errors of `decode`.
    """
    if len(body) > COUNTED_BYTES:
        _check_counts(body, limit_rows)
    booleans = b"true" in body or b"false" in body  # to Python they are the integers 1 and 0
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body or "infinity" in error.msg:
            lenient = _not_finite(body)
            if lenient is not None:
                decode(_checked(lenient, form), booleans)  # raises WrongValue with the place of the first one
        raise _malformed(body, error, form.wanted) from None
    return decode(_checked(request, form), booleans)


def _check_counts(body: bytes, limit_rows: int) -> None:
    """Raises TooLarge for more objects, lists or values than `limit_rows` pictures can have in any protocol.

    The largest form of a picture is 28 x 28 x 1. Characters in strings count, too. A few pictures too many are left to
    the error that counts them.
    """
    limits = {
        "objects": (b"{", limit_rows * 2),
        "lists": (b"[", limit_rows * (1 + SIDE + PIXELS)),
        "values": (b",", limit_rows * PIXELS * 2),
    }
    characters = np.frombuffer(body, np.uint8)
    for name, (character, limit) in limits.items():
        found = int(np.count_nonzero(characters == character[0]))
        if found > limit + COUNTS_SPARE:
            wanted = f"at most {limit + COUNTS_SPARE} for {limit_rows} pictures"
            message = f"the body has {found} {name}, want {wanted}"
            raise TooLarge("too_many_values", message, found=f"{found} {name}", wanted=wanted)


def _checked(request: Any, form: ObjectForm) -> dict[str, Any]:
    """Returns a request that is an object with allowed keys. Raises WrongValue for any other."""
    if type(request) is not dict:
        found = describe(request)
        message = f"the body is {found}, want an object: {form.wanted}"
        raise WrongValue("wrong_type", message, found=found, wanted=form.wanted)
    for key in request:
        if form.keys and key not in form.keys:
            name = orjson.dumps(shortened(key)).decode()
            raise WrongValue(
                "unknown_field",
                f"{name} is not known here, want {form.known}"
                + (f"; it goes in the URL: ?{key}=…" if key in form.of_query else ""),
                field=shortened(key),
                found=name,
                wanted=form.known,
            )
    return request


def one_of(request: dict[str, Any], one: str, other: str, form: ObjectForm) -> str:
    """Returns the one of two keys that an object has. Raises WrongValue for both or neither."""
    if (one in request) != (other in request):
        return one if one in request else other
    found = f'both "{one}" and "{other}"' if one in request else f'neither "{one}" nor "{other}"'
    code = "conflicting_fields" if one in request else "missing_field"
    message = f"the body has {found}, want one of them: {form.wanted}"
    raise WrongValue(code, message, found=found, wanted=form.wanted)


def _not_finite(body: bytes) -> Any:
    """Parses JSON that contains NaN or infinities, for an error with their place; None for other malformed bodies.

    None also above LENIENT_LIMIT_BYTES, since Python's parser would block the event loop.
    """
    if len(body) > LENIENT_LIMIT_BYTES:
        return None
    try:
        return json.loads(body.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(text: str) -> float:
    """An integer as orjson parses it: a float beyond 64 bits."""
    return int(text) if len(text) < 19 else float(text)


def _malformed(body: bytes, error: orjson.JSONDecodeError, wanted: str) -> MalformedBody:
    if not body.strip():
        return MalformedBody("empty_body", f"the body is empty, want {wanted}", found="nothing", wanted=wanted)
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        found = f"byte 0x{body[wrong.start]:02x} at offset {wrong.start}"
        message = f"the body is not UTF-8: {found}{misplaced(body)}"
        return MalformedBody("not_utf8", message, found=found, wanted="JSON in UTF-8")
    found = f"{error.msg} at line {error.lineno}, column {error.colno}"
    return MalformedBody("invalid_json", f"the body is not valid JSON: {found}", found=found, wanted="JSON (RFC 8259)")
