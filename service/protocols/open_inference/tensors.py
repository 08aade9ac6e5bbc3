"""Tensors of the Open Inference Protocol: names, datatypes and shapes of inputs and outputs, and decoding of values.

https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.errors import WrongValue, describe, out_of_range, shortened, too_many_rows, wrong_length, wrong_type
from training.images import CLASSES, FULL_INK, PIXELS, SIDE, PixelError, quantise

if TYPE_CHECKING:
    from training.images import Images

    Shape = tuple[int, ...]

INPUT: Final = "pixels"
SHAPES: Final = ((PIXELS,), (SIDE, SIDE), (SIDE, SIDE, 1))
"""Shapes of one picture; the number of pictures comes before."""
WANTED_SHAPE: Final = f"[n, {PIXELS}], [n, {SIDE}, {SIDE}] or [n, {SIDE}, {SIDE}, 1] for n pictures, 1 or more"
DATATYPES: Final = {
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""Datatype of pixels -> NumPy dtype in binary. FP16 is only allowed in binary, not in JSON."""
IN_JSON: Final = tuple(name for name in DATATYPES if name != "FP16")
INPUT_METADATA: Final[dict[str, Any]] = {"name": INPUT, "datatype": "UINT8", "shape": [-1, PIXELS]}
OUTPUT_METADATA: Final[list[dict[str, Any]]] = [
    {"name": "probabilities", "datatype": "FP32", "shape": [-1, CLASSES]},
    {"name": "digit", "datatype": "INT64", "shape": [-1]},
    {"name": "confidence", "datatype": "FP32", "shape": [-1]},
]
"""The outputs; -1 is the number of pictures."""


def check_datatype(datatype: Any, field: str) -> str:
    """Returns an allowed datatype of pixels. Raises WrongValue for any other."""
    if type(datatype) is str and datatype in DATATYPES:
        return datatype
    found, wanted = describe(datatype), f"one of {', '.join(DATATYPES)}"
    raise WrongValue("wrong_type", f"{field} is {found}, want {wanted}", field=field, found=found, wanted=wanted)


def check_shape(shape: Any, field: str, limit_rows: int) -> Shape:
    """Returns an allowed shape of pictures. Raises WrongValue, and TooLarge for more than `limit_rows` pictures."""
    if type(shape) is not list:
        raise wrong_type(field, shape, WANTED_SHAPE)
    whole = all(type(size) is int for size in shape)
    if not whole or tuple(shape[1:]) not in SHAPES or shape[0] < 1:
        found = shortened(f"[{', '.join(map(describe, shape[:6]))}{', …' if len(shape) > 6 else ''}]", 100)
        code = "wrong_length" if whole else "wrong_type"
        message = f"{field} is {found}, want {WANTED_SHAPE}"
        raise WrongValue(code, message, field=field, found=found, wanted=WANTED_SHAPE)
    if shape[0] > limit_rows:
        raise too_many_rows(shape[0], limit_rows, field)
    return tuple(shape)


def pictures_of_binary(content: bytes | memoryview, datatype: str, shape: Shape, scale: float, field: str) -> Images:
    """Pictures uint8 [n, 28, 28] of little-endian numbers 0…scale of the given shape. Raises WrongValue."""
    numbers = np.frombuffer(content, DATATYPES[datatype])
    if numbers.dtype.kind == "f":
        numbers = numbers.astype(np.float64)
    try:
        return quantise(numbers.reshape(-1, PIXELS), scale)
    except PixelError as error:
        place = _place(f"{field}.data", shape, error.row * PIXELS + error.pixel)
        raise out_of_range(place, error.value, _wanted(datatype, scale)) from None


def pictures_of_json(data: Any, datatype: str, shape: Shape, scale: float, field: str, *, booleans: bool) -> Images:
    """Pictures uint8 [n, 28, 28] of a list of numbers 0…scale, flat or nested like the shape. Raises WrongValue.

    `booleans`: whether the body may contain true or false, which are integers to Python.
    """
    if datatype not in IN_JSON:
        wanted = f"binary data, or one of {', '.join(IN_JSON)}"
        message = f"{field} has data in JSON, which has no form of {datatype}, want {wanted}"
        raise WrongValue("wrong_type", message, field=field, found=datatype, wanted=wanted)
    if type(data) is not list:
        raise wrong_type(f"{field}.data", data, "a list of numbers")
    nested = bool(data) and type(data[0]) is list
    flat = _flat(data, shape, f"{field}.data") if nested else data
    _check_count(flat, shape, f"{field}.data")
    if not booleans and scale == FULL_INK and datatype != "INT8":
        with suppress(TypeError, ValueError):  # usually whole numbers from 0 to 255, at the speed of C
            return np.frombuffer(bytes(flat), np.uint8).reshape(-1, SIDE, SIDE)
    _check_values(flat, datatype, scale, f"{field}.data", shape if nested else (len(flat),), booleans=booleans)
    return quantise(_numbers(flat).reshape(-1, PIXELS), scale)


def _flat(data: list[Any], shape: Shape, field: str) -> list[Any]:
    """The values of nested lists, row-major. Raises WrongValue unless the lengths of the lists match the shape."""
    level = data
    if len(level) != shape[0]:
        raise wrong_length(field, f"{len(level)} items", f"{shape[0]} as the first number of the shape")
    for depth, size in enumerate(shape[1:], 1):
        for i, item in enumerate(level):
            if type(item) is not list:
                raise wrong_type(_place(field, shape[:depth], i), item, f"a list of {size}, as the shape says")
            if len(item) != size:
                place = _place(field, shape[:depth], i)
                raise wrong_length(place, f"{len(item)} items", f"{size}, as the shape says")
        level = [*chain.from_iterable(level)]
    return level


def _check_count(flat: list[Any], shape: Shape, field: str) -> None:
    wanted = shape[0] * PIXELS
    if len(flat) != wanted:
        said = f"{wanted}, as the shape {list(shape)} says"
        raise wrong_length(field, f"{len(flat)} number{'' if len(flat) == 1 else 's'}", said)


def _numbers(flat: list[Any]) -> np.ndarray:
    """Numbers float64; accepts booleans. Raises TypeError or OverflowError for other values."""
    numbers = array("d")
    numbers.fromlist(flat)
    return np.frombuffer(numbers)


def _check_values(flat: list[Any], datatype: str, scale: float, field: str, shape: Shape, *, booleans: bool) -> None:
    """Raises WrongValue for the first value that is not of the datatype, or outside 0…scale."""
    top = _top(datatype, scale)
    whole = DATATYPES[datatype][1] != "f"
    with suppress(TypeError, OverflowError):
        numbers = _numbers(flat)
        good = (numbers >= 0) & (numbers <= top)  # NaN compares false
        if not booleans and good.all() and not (whole and (numbers % 1).any()):
            return
    wanted = _wanted(datatype, scale)
    for i, value in enumerate(flat):
        if type(value) not in (int, float):
            raise wrong_type(_place(field, shape, i), value, wanted)
        if not 0 <= value <= top:
            raise out_of_range(_place(field, shape, i), value, wanted)
        if whole and value % 1:
            raise wrong_type(_place(field, shape, i), value, wanted)


def _top(datatype: str, scale: float) -> float:
    """The maximum pixel value: the scale, or the maximum of an integer datatype if smaller."""
    kind = np.dtype(DATATYPES[datatype])
    return scale if kind.kind == "f" else min(scale, float(np.iinfo(kind).max))


def _wanted(datatype: str, scale: float) -> str:
    kind = "a number" if DATATYPES[datatype][1] == "f" else "a whole number"
    return f"{kind} from 0 to {_top(datatype, scale):.15g} ({datatype})"


def _place(field: str, shape: Shape, index: int) -> str:
    """The field name of the value at a flat index: `inputs[0].data[3][17]`."""
    return field + "".join(f"[{int(i)}]" for i in np.unravel_index(index, shape))
