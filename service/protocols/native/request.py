"""JSON bodies of `POST /predict` -> pictures uint8 [n, 28, 28]; the usual body is left to `fast_json`."""

from __future__ import annotations

from typing import Any, Final

from service.protocols.json_body import ObjectForm, one_of, read_object
from service.protocols.json_pictures import check_pictures, decode_pictures, decode_pixels, scale_of
from service.protocols.native.query import PARAMETERS
from service.protocols.pictures import Decoded

PREDICT_FORM: Final = ObjectForm(
    ("pixels", "instances", "scale"),
    '"pixels" or "instances", and "scale"',
    '{"pixels": [784 numbers]} or {"instances": [[784 numbers], …]}',
    tuple(PARAMETERS),
)
SEVERAL: Final = '"instances" takes a list of pictures'


def decode_json(body: bytes, *, limit_rows: int) -> Decoded:
    """The pictures of a JSON body. Raises MalformedBody, WrongValue, TooLarge."""
    return read_object(
        body, PREDICT_FORM, lambda request, booleans: _decode(request, limit_rows, booleans), limit_rows=limit_rows
    )


def _decode(request: dict[str, Any], limit_rows: int, booleans: bool) -> Decoded:
    """The pictures of an object; `booleans`: whether the body may contain true or false."""
    if one_of(request, "pixels", "instances", PREDICT_FORM) == "pixels":
        return Decoded(decode_pixels(request, booleans, several=SEVERAL), many=False)
    scale = scale_of(request)
    instances = check_pictures(request["instances"], "instances", limit_rows)
    return Decoded(decode_pictures(instances, "instances[{}]".format, scale, booleans), many=True)
