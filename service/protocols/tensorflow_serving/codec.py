"""Request and response bodies of TensorFlow Serving's REST API, in row (`instances`) or column (`inputs`) format.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from service.errors import (
    IMAGE_TEXT_HINT,
    WrongValue,
    describe,
    is_image_text,
    is_typed_array,
    shortened,
    wrong_length,
    wrong_type,
)
from service.protocols.json_body import OPTIONS, ObjectForm, one_of, read_object
from service.protocols.json_pictures import check_pictures, decode_pictures
from service.protocols.tensorflow_serving.signatures import INPUT, scale_of_signature
from training.images import PIXELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Probabilities = NDArray[np.float32]
    from training.images import Images

FORM: Final = ObjectForm(
    ("instances", "inputs", "signature_name"),
    '"instances" or "inputs", and "signature_name"',
    '{"instances": [[784 numbers], …]} or {"inputs": [[784 numbers], …]}',
)
B64: Final = "b64"
NAMED: Final = f'{{"{INPUT}": a picture}} or {{"{B64}": 784 bytes in base64}}'


class PredictRequest(NamedTuple):
    """Pictures uint8 [n, 28, 28]; `columns`: whether request and response are in column format."""

    images: Images
    columns: bool


def decode_rows(body: bytes, *, limit_rows: int) -> PredictRequest:
    """The pictures of a body. Each is 784 numbers, 28 x 28, 28 x 28 x 1, or 784 bytes as `{"b64": …}`.

    The input may be named: each picture in row format, `{"pixels": …}`, or the list of pictures in column format.
    Raises MalformedBody, WrongValue, TooLarge.
    """
    return read_object(
        body, FORM, lambda request, booleans: _decode(request, limit_rows, booleans), limit_rows=limit_rows
    )


def encode_rows(probabilities: Probabilities, *, columns: bool) -> bytes:
    """The response body for probabilities float32 [n, 10], without the name of the only output."""
    return orjson.dumps({"outputs" if columns else "predictions": probabilities}, option=OPTIONS)


def _decode(request: dict[str, Any], limit_rows: int, booleans: bool) -> PredictRequest:
    field = one_of(request, "instances", "inputs", FORM)
    columns, given, scale = field == "inputs", request[field], scale_of_signature(request)
    if columns and type(given) is dict and not is_typed_array(given):
        given, field = _named_value(given, field), f"{field}.{INPUT}"
    rows = check_pictures(given, field, limit_rows)

    def place(i: int) -> str:
        named = not columns and type(rows[i]) is dict and INPUT in rows[i]
        return f"{field}[{i}].{INPUT}" if named else f"{field}[{i}]"

    pictures = [_picture(row, place(i), named=not columns) for i, row in enumerate(rows)]
    return PredictRequest(decode_pictures(pictures, place, scale, booleans), columns)


def _picture(row: Any, field: str, *, named: bool) -> Any:
    """Unwraps the name and the base64 of a picture; any other value is returned unchanged."""
    if type(row) is not dict or is_typed_array(row):
        return row
    if row.keys() == {B64}:
        return _bytes(row[B64], field)
    if not named:
        raise wrong_type(field, row, f'a picture or {{"{B64}": 784 bytes in base64}}')
    return _picture(_named_value(row, field), field, named=False)


def _named_value(value: dict[str, Any], field: str) -> Any:
    """The value under the name of the input, the only allowed key. Raises WrongValue."""
    if value.keys() == {INPUT}:
        return value[INPUT]
    found = ", ".join(orjson.dumps(shortened(key)).decode() for key in value) or "nothing"
    message = f"{field} is an object with {shortened(found, 100)}, want {NAMED}"
    raise WrongValue("unknown_field", message, field=field, found=shortened(found, 100), wanted=NAMED)


def _bytes(text: Any, field: str) -> list[int]:
    if type(text) is not str:
        raise wrong_type(f"{field}.{B64}", text, "784 bytes in base64")
    try:
        decoded = _decode_base64(text)
    except (binascii.Error, ValueError) as error:
        found = describe(text)
        hint = IMAGE_TEXT_HINT if is_image_text(text) else ""
        message = f"{field}.{B64} is {found}, want 784 bytes in base64 (RFC 4648, section 4): {error}{hint}"
        raise WrongValue("invalid_base64", message, field=f"{field}.{B64}", found=found, wanted="base64") from None
    if len(decoded) != PIXELS and is_image_text(text):
        raise wrong_length(f"{field}.{B64}", f"{len(decoded)} bytes", f"{PIXELS}", IMAGE_TEXT_HINT)
    return list(decoded)


def _decode_base64(text: str) -> bytes:
    """The bytes of base64 as TensorFlow Serving reads it, by `absl::Base64Unescape`.

    White space of ASCII is skipped, and padding, `=` or `.`, may be left out. The URL-safe alphabet is refused. Raises
    binascii.Error and ValueError.
    """
    packed = b"".join(text.encode("ascii").split())
    digits = packed.rstrip(b"=.")
    padding = -len(digits) % 4
    if len(packed) - len(digits) not in (0, padding):
        raise ValueError(f"{len(packed) - len(digits)} signs of padding, want {padding} or none")
    return base64.b64decode(digits + b"=" * padding, validate=True)
