"""Bodies that are no text: bytes as they are, and NumPy's own format."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.decode import Decoded, too_many_rows
from service.errors import MalformedBody, WrongValue
from training.images import FULL_INK, PIXELS, SIDE, PixelError, quantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_HEADER: Final = 10_000
READERS: Final = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""By the version of the format. 3.0 is for tables with names that are not Latin."""
ARRAY: Final = (
    f"an array of numbers [n, {PIXELS}] or [n, {SIDE}, {SIDE}], or of one picture [{PIXELS}] or [{SIDE}, {SIDE}]"
)


def decode_octets(body: bytes, *, limit_rows: int) -> Decoded:
    """Pictures of 784 bytes each, 0 to 255, without a copy: the array is a view of the body.

    Raises WrongValue, TooLarge.
    """
    rows, rest = divmod(len(body), PIXELS)
    if rest or not rows:
        raise WrongValue(
            "wrong_length" if body else "empty",
            f"the body has {len(body)} bytes, want a multiple of {PIXELS} ({SIDE} x {SIDE}, row by row, for a picture)",
            found=f"{len(body)} bytes",
            wanted=f"n x {PIXELS} bytes",
        )
    if rows > limit_rows:
        raise too_many_rows(rows, limit_rows)
    return Decoded(np.frombuffer(body, np.uint8).reshape(rows, SIDE, SIDE), many=True)


def decode_npy(body: bytes, *, limit_rows: int, scale: float = FULL_INK) -> Decoded:
    """Pictures of an array of any integers or floats in 0…scale. Raises MalformedBody, WrongValue, TooLarge."""
    numbers = _array(body)
    if numbers.dtype.kind not in "uif":
        raise _wrong_array("wrong_type", f"the array's dtype is {numbers.dtype}", f"{numbers.dtype}", "numbers")
    one = numbers.shape in ((PIXELS,), (SIDE, SIDE))
    if not one and (numbers.shape[1:] not in ((PIXELS,), (SIDE, SIDE)) or not len(numbers)):
        found = str(list(numbers.shape))
        raise _wrong_array("empty" if 0 in numbers.shape else "wrong_length", f"the array has the shape {found}", found)
    if not one and len(numbers) > limit_rows:
        raise too_many_rows(len(numbers), limit_rows)
    if numbers.dtype.kind == "f":
        numbers = numbers.astype(np.float64)
    try:
        return Decoded(quantise(numbers.reshape(-1, PIXELS), scale), many=not one)
    except PixelError as error:
        field = f"[{error.pixel}]" if one else f"[{error.row}][{error.pixel}]"
        found, wanted = f"{error.value:.15g}", f"a number from 0 to {scale:.15g}"
        raise WrongValue(
            "out_of_range", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted
        ) from None


def _array(body: bytes) -> NDArray[Any]:
    """What the body holds, without a copy and without believing its header: that may promise what is not there."""
    if not body:
        raise MalformedBody("empty_body", f"the body is empty, want {ARRAY}", found="nothing", wanted=ARRAY)
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = READERS[version](file, max_header_size=LONGEST_HEADER)
    except KeyError:
        raise _invalid(f"it is of version {version[0]}.{version[1]}") from None
    except Exception as error:  # whatever a header of somebody's making provokes in NumPy's parser
        raise _invalid(str(error).partition("\n")[0]) from None
    if dtype.hasobject:
        raise _wrong_array("wrong_type", "the array holds Python objects", "objects", "numbers")
    wanted = dtype.itemsize * int(np.prod([int(size) for size in shape], dtype=object))
    found = len(body) - file.tell()
    if found != wanted:
        raise _invalid(f"its header promises {wanted} bytes, and {found} follow")
    if not wanted:
        return np.empty(shape, dtype)
    return np.frombuffer(body, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def _invalid(reason: str) -> MalformedBody:
    return MalformedBody(
        "invalid_npy",
        f"the body is not a .npy file: {reason}",
        found=reason,
        wanted="a .npy file of version 1.0 or 2.0",
    )


def _wrong_array(code: str, what: str, found: str, wanted: str = ARRAY) -> WrongValue:
    return WrongValue(code, f"{what}, want {wanted}", found=found, wanted=wanted)
