"""JSON bodies of `POST /predict` -> pictures uint8 [n, 28, 28].

The usual body is read without a Python object for each number (`fast_json`); every other body goes through `json_body`.
"""

from __future__ import annotations

from typing import Any, Final

from service.protocols.json_body import ObjectForm, one_of, read_object
from service.protocols.json_pictures import check_pictures, decode_pictures, decode_pixels, scale_of
from service.protocols.native.fast_json import whole_numbers
from service.protocols.pictures import Decoded

QUESTION: Final = ObjectForm(
    ("pixels", "instances", "scale"),
    '"pixels" or "instances", and "scale"',
    '{"pixels": [784 numbers]} or {"instances": [[784 numbers], …]}',
)


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
