"""Pictures in JSON, as lists of numbers -> uint8 [n, 28, 28], or an error that names the first wrong value.

Valid pictures are recognised at the speed of C: `bytes(list)` accepts only integers from 0 to 255 and booleans, `array`
only numbers and booleans. Only an invalid picture is checked value by value.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.errors import WrongValue, out_of_range, too_many_rows, wrong_length, wrong_type
from service.protocols.warnings import CHANNELS
from training.images import FULL_INK, PIXELS, SIDE, quantise

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.images import Images

    Fields = Callable[[int], str]

FORM: Final = f"{PIXELS} ({SIDE} x {SIDE}, row by row)"
PICTURE: Final = f"a list of {PIXELS} numbers or of {SIDE} rows of {SIDE}"
LISTED: Final = f"a list of pictures; a list of one picture is [[{PIXELS} numbers]]"
AXIS_HINT: Final = f"; the axis of channels goes last, [{SIDE}][{SIDE}][1], or is left out"
SCALES: Final = (1e-300, 1e300)
"""Minimum and maximum scale for which float64 arithmetic neither overflows nor underflows."""


def decode_pixels(request: dict[str, Any], booleans: bool, *, several: str) -> Images:
    """The picture uint8 [1, 28, 28] of an object with "pixels" and an optional "scale".

    `several` says what to do with several pictures. Raises WrongValue.
    """
    pixels = request["pixels"]
    if type(pixels) is list and pixels and _is_picture(pixels[0]):
        found = _count(pixels, "picture")
        message = f"pixels has {found}, want the pixels of one: {several}"
        raise WrongValue("wrong_length", message, field="pixels", found=found, wanted=PICTURE)
    return decode_pictures([pixels], lambda _: "pixels", scale_of(request), booleans)


def check_pictures(pictures: Any, field: str, limit_rows: int) -> list[Any]:
    """Returns a list of 1 to `limit_rows` pictures; the pictures are not checked. Raises WrongValue, TooLarge."""
    if type(pictures) is not list:
        raise wrong_type(field, pictures, "a list of pictures")
    if not pictures:
        message = f"{field} is empty, want at least one picture"
        raise WrongValue("empty", message, field=field, found="an empty list", wanted=PICTURE)
    if len(pictures) in (PIXELS, SIDE) and _is_picture(pictures):
        found = "the pixels of one picture"
        raise WrongValue("wrong_type", f"{field} has {found}, want {LISTED}", field=field, found=found, wanted=LISTED)
    if len(pictures) > limit_rows:
        raise too_many_rows(len(pictures), limit_rows, field=field)
    return pictures


def _is_picture(value: Any) -> bool:
    """Whether a value looks like one picture, by its length and its first value, and not like a row or a list."""
    if type(value) is not list or not value:
        return False
    if type(value[0]) is not list:
        return len(value) == PIXELS and type(value[0]) in (int, float)
    return len(value) == len(value[0]) == SIDE and not (type(value[0][0]) is list and len(value[0][0]) > 1)


def scale_of(request: dict[str, Any], field: str = "scale") -> float:
    """The "scale" of an object: the value of full ink, by default 255. Raises WrongValue."""
    if "scale" not in request:
        return FULL_INK
    value = request["scale"]
    if type(value) not in (int, float):
        raise wrong_type(field, value, "a number, the value that means full ink")
    if not SCALES[0] <= value <= SCALES[1]:
        raise out_of_range(field, value, f"a number from {SCALES[0]:g} to {SCALES[1]:g}, the value that means full ink")
    return float(value)


def decode_pictures(pictures: list[Any], fields: Fields, scale: float, booleans: bool) -> Images:
    """Pictures uint8 [n, 28, 28] of lists of numbers 0…scale; `fields` returns the field name of picture i, for errors.

    A picture is 784 numbers, 28 x 28 or 28 x 28 x 1. `booleans`: whether the body may contain true or false. Raises
    WrongValue.
    """
    pictures = [
        _without_channels(picture, fields(i)) if _has_channels(picture) else picture
        for i, picture in enumerate(pictures)
    ]
    if not booleans:
        if scale == FULL_INK:
            with suppress(TypeError, ValueError):
                return np.frombuffer(b"".join([bytes(_flat(picture)) for picture in pictures]), np.uint8).reshape(
                    -1, SIDE, SIDE
                )
        with suppress(TypeError, ValueError):
            return quantise(_numbers(pictures), scale)
    for i, picture in enumerate(pictures):
        if booleans or not _is_valid(picture, scale):
            _check_picture(picture, fields(i), scale)
    return quantise(_numbers(pictures), scale)


def _has_channels(picture: Any) -> bool:
    """Whether the first pixel of a picture is a list, as in 28 x 28 x 1."""
    rows = type(picture) is list and bool(picture) and type(picture[0]) is list and bool(picture[0])
    return rows and type(picture[0][0]) is list and len(picture) == SIDE


def _without_channels(picture: list[Any], field: str) -> list[Any]:
    """[28][28] for [28][28][1]; a row that is no list stays, for a later error with its place. Raises WrongValue."""
    return [
        [_channel(cell, f"{field}[{i}][{j}]") for j, cell in enumerate(row)] if type(row) is list else row
        for i, row in enumerate(picture)
    ]


def _channel(cell: Any, field: str) -> Any:
    if type(cell) is not list:
        raise wrong_type(field, cell, "a list of one number, as those before it")
    if len(cell) != 1:
        raise wrong_length(field, f"{len(cell)} numbers", "1: pictures are grey")
    return cell[0]


def _is_valid(picture: Any, scale: float) -> bool:
    """Whether a picture without booleans is valid; at the speed of C, but without the place of an error."""
    try:
        numbers = _numbers([picture])
    except (TypeError, ValueError, OverflowError):
        return False
    return bool((numbers >= 0).all() and (numbers <= scale).all())


def _flat(picture: Any) -> Any:
    """The 784 values of a picture, flat or 28 x 28. Raises TypeError or ValueError for other lengths or types.

    A string or an object of the right length passes as a list of strings, which the callers reject as non-numbers.
    """
    if len(picture) == PIXELS:
        return picture
    if len(picture) != SIDE or {*map(len, picture)} != {SIDE}:
        raise ValueError
    return [*chain.from_iterable(picture)]


def _numbers(pictures: list[Any]) -> np.ndarray:
    """Numbers float64 [n, 784]; accepts booleans. Raises TypeError or ValueError for other types and lengths."""
    numbers = array("d")
    for picture in pictures:
        numbers.fromlist(_flat(picture))
    return np.frombuffer(numbers).reshape(-1, PIXELS)


def _check_picture(picture: Any, field: str, scale: float) -> None:
    """Raises WrongValue for the first wrong type, length or value in a picture."""
    if type(picture) is not list:
        raise wrong_type(field, picture, PICTURE)
    if not (picture and type(picture[0]) is list):
        if len(picture) != PIXELS:
            raise wrong_length(field, _count(picture, "pixel"), FORM, _channels_hint(len(picture)))
        _check_pixels(picture, field, scale)
        return
    if len(picture) != SIDE:
        hint = AXIS_HINT if len(picture) <= max(CHANNELS) and _is_picture(picture[0]) else ""
        raise wrong_length(field, _count(picture, "row"), f"{SIDE} rows of {SIDE} pixels", hint)
    for i, row in enumerate(picture):
        if type(row) is not list:
            raise wrong_type(f"{field}[{i}]", row, f"a row of {SIDE} numbers")
        if len(row) != SIDE:
            raise wrong_length(f"{field}[{i}]", _count(row, "pixel"), f"{SIDE}")
        _check_pixels(row, f"{field}[{i}]", scale)


def _channels_hint(values: int) -> str:
    """What so many values in place of 784 may be, such as those of a canvas; empty for other numbers."""
    channels, rest = divmod(values, PIXELS)
    if rest or channels not in CHANNELS:
        return ""
    return f"; they are {channels} numbers for each pixel, as of {CHANNELS[channels]}, or {channels} pictures"


def _check_pixels(values: list[Any], field: str, scale: float) -> None:
    for i, value in enumerate(values):
        wanted = "a number from 0 to"
        if type(value) not in (int, float):
            raise wrong_type(f"{field}[{i}]", value, f"{wanted} {scale:.15g}")
        if not 0 <= value <= scale:
            raise out_of_range(f"{field}[{i}]", value, f"{wanted} {scale:.15g}")


def _count(values: list[Any], noun: str) -> str:
    return f"{len(values)} {noun}" if len(values) == 1 else f"{len(values)} {noun}s"
