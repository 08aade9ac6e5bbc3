"""Bodies in NumPy's .npy format -> pictures. The header is untrusted input."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.errors import MalformedBody, WrongValue, shortened, too_many_rows
from service.http.media_types import misplaced
from service.protocols.pictures import Decoded
from training.images import FULL_INK, PIXELS, SIDE, PixelError, quantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_HEADER: Final = 10_000
"""Maximum size of a header in bytes."""
LONGEST_FOUND: Final = 100
"""Maximum number of characters of a header in an error message."""
READERS: Final = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Format version -> reader of the header. Version 3.0 is only for structured arrays with field names in Unicode."""
ONE_PICTURE: Final = ((PIXELS,), (SIDE, SIDE), (SIDE, SIDE, 1))
"""The shapes of one picture."""
ARRAY: Final = (
    f"an array of numbers [n, {PIXELS}], [n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1], or of one picture, without n"
)


def decode_npy(body: bytes, *, limit_rows: int, scale: float = FULL_INK) -> Decoded:
    """Pictures of an array of any integers or floats in 0…scale. Raises MalformedBody, WrongValue, TooLarge."""
    numbers = _array(body)
    one = numbers.shape in ONE_PICTURE
    if not one and len(numbers) > limit_rows:
        raise too_many_rows(len(numbers), limit_rows)
    if numbers.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float64 becomes infinite, and is out of range
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
    """The array of a body, of one of the shapes of ARRAY, without a copy. Raises MalformedBody, WrongValue.

    The header is untrusted: its number of bytes or its shape may be wrong.
    """
    if not body:
        raise MalformedBody("empty_body", f"the body is empty, want {ARRAY}", found="nothing", wanted=ARRAY)
    if not body.startswith(np.lib.format.MAGIC_PREFIX):
        archive = "it is an archive, as .npz is: send one array of it"
        raise _invalid(archive if body.startswith(b"PK\3\4") else f"it does not begin as one{misplaced(body)}")
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = READERS[version](file, max_header_size=LONGEST_HEADER)
    except KeyError:
        raise _invalid(f"it is of version {version[0]}.{version[1]}") from None
    except Exception as error:  # NumPy's parser may raise any exception for a crafted header
        raise _invalid(shortened(str(error).partition("\n")[0], LONGEST_FOUND)) from None
    _check_header(shape, dtype)
    wanted = dtype.itemsize * math.prod(shape)
    found = len(body) - file.tell()
    if found != wanted:
        raise _invalid(f"its header promises {wanted} bytes, and {found} follow")
    return np.frombuffer(body, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def _check_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises MalformedBody for an impossible shape, WrongValue for a dtype or shape outside of ARRAY."""
    if dtype.hasobject:
        raise _wrong_array("wrong_type", "the array holds Python objects", "objects", "numbers")
    if dtype.kind not in "uif":
        name = shortened(str(dtype), LONGEST_FOUND)
        raise _wrong_array("wrong_type", f"the array's dtype is {name}", name, "numbers")
    found = shortened(str(list(shape)), LONGEST_FOUND)
    if any(type(size) is not int or size < 0 for size in shape):  # True is an int, too
        raise _invalid(f"its header has the shape {found}, want whole numbers, none below 0")
    if shape not in ONE_PICTURE and (shape[1:] not in ONE_PICTURE or not shape[0]):
        raise _wrong_array("empty" if 0 in shape else "wrong_length", f"the array has the shape {found}", found)


def _invalid(reason: str) -> MalformedBody:
    return MalformedBody(
        "invalid_npy",
        f"the body is not a .npy file: {reason}",
        found=reason,
        wanted="a .npy file of version 1.0 or 2.0",
    )


def _wrong_array(code: str, what: str, found: str, wanted: str = ARRAY) -> WrongValue:
    return WrongValue(code, f"{what}, want {wanted}", found=found, wanted=wanted)
