"""The binary tensor data extension: JSON followed by tensors as little-endian bytes, in the order in the JSON.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from service.errors import WrongValue, shortened, wrong_length, wrong_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from service.headers import Headers

HEADER: Final = "Inference-Header-Content-Length"
HEADER_KEY: Final = HEADER.lower().encode()
SIZE: Final = "binary_data_size"
DIGITS: Final = 18
"""Maximum number of digits of a length, above the length of any body."""


class Parts(NamedTuple):
    """The two parts of a body: JSON, and the bytes of tensors. JSON is None for a body of raw tensor bytes only."""

    json: bytes | None
    tensors: memoryview


def json_bytes(headers: Headers) -> int | None:
    """How many bytes of a body are JSON as its header says; None without a number, for the whole body."""
    given = headers.get(HEADER_KEY, b"")
    return int(given) if given.isdigit() and len(given) <= DIGITS else None


def split(body: bytes, headers: Headers) -> Parts:
    """Splits a body at the length in the header; without it, all is JSON. Raises WrongValue for a wrong length."""
    given = headers.get(HEADER_KEY)
    if given is None:
        return Parts(body, memoryview(b""))
    text = given.decode("latin-1")
    wanted = f"how many bytes of the body are JSON, 0 to {len(body)}"
    if not (text.isascii() and text.isdigit()):
        raise _wrong_header("wrong_type", repr(shortened(text)), wanted)
    if len(text) > DIGITS or int(text) > len(body):
        raise _wrong_header("out_of_range", shortened(text), wanted)
    length = int(text)
    return Parts(body[:length] if length else None, memoryview(body)[length:])


def check_size(size: Any, wanted_bytes: int, rest: memoryview, field: str, why: str) -> memoryview:
    """The bytes of the only tensor. `why` is the reason for `wanted_bytes`, for errors.

    Raises WrongValue if `size` is not `wanted_bytes`, or if the body has more or fewer bytes after its JSON.
    """
    place = f"{field}.parameters.{SIZE}"
    if type(size) is not int:
        raise wrong_type(place, size, "a whole number of bytes")
    if size != wanted_bytes:
        raise wrong_length(place, f"{size} bytes", f"{wanted_bytes}: {why}")
    if len(rest) != size:
        raise wrong_length("the body", f"{len(rest)} bytes behind its JSON", f"{size}, as {place} says")
    return rest


def bytes_of(values: NDArray[Any] | list[list[str]]) -> bytes:
    """A tensor as bytes: numbers in little-endian; strings (BYTES) with their length in 4 bytes before each."""
    if isinstance(values, np.ndarray):
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(struct.pack("<I", len(text)) + text.encode() for row in values for text in row)


def joined(json: bytes, tensors: Iterable[bytes]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A body of JSON and tensors, and the header with the length of the JSON."""
    return b"".join([json, *tensors]), [(HEADER_KEY, b"%d" % len(json))]


def _wrong_header(code: str, found: str, wanted: str) -> WrongValue:
    return WrongValue(code, f"{HEADER} is {found}, want {wanted}", field=HEADER, found=found, wanted=wanted)
