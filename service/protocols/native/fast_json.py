"""Fast path for JSON bodies, with simdjson: no Python object for each pixel, half to two thirds of the time."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

from service.protocols.pictures import Decoded
from training.images import FULL_INK, PIXELS, SIDE

try:
    from simdjson import Array, Object, Parser
except ImportError:  # there are no wheels for Python 3.14: `json_body` parses every body there
    Parser = None  # type: ignore[assignment,misc]

LIMIT_BYTES: Final = 2**20
"""Maximum size of a body, more than 256 pictures: a parser keeps memory for the longest body ever parsed."""
COUNTED_BYTES: Final = 2**12
"""Size up to which `bytes.count` counts brackets as fast as NumPy does: a picture."""

_thread_local = threading.local()


def whole_numbers(body: bytes, *, limit_rows: int) -> Decoded | None:
    """Pictures uint8 [n, 28, 28], 1 <= n <= limit_rows; None for any other body.

    The only accepted bodies are `{"pixels": picture}` and `{"instances": [picture, …]}`; a picture is a list of 784
    whole numbers from 0 to 255, or 28 lists of 28. `json_body` parses all other bodies, and reports their errors.
    Exactly two quotation marks ensure that the key is the only string; the number of opening brackets ensures the depth
    of the lists.
    """
    if (
        Parser is None
        or len(body) > LIMIT_BYTES
        or body[:1] != b"{"
        or body.find(b'"', body.find(b'"') + 1) != body.rfind(b'"')
    ):
        return None
    try:
        request = _parser().parse(body)
        if not isinstance(request, Object):
            return None
        (key,) = request.keys()
        many = key == "instances"
        value = request[key] if many or key == "pixels" else None
        if not isinstance(value, Array):
            return None
        rows, lists = (len(value), 1 + sum(map(_lists_of, value))) if many else (1, _lists_of(value))
        if not 0 < rows <= limit_rows or _brackets(body) != lists:
            return None
        numbers = np.frombuffer(value.as_buffer(of_type="u"), np.uint64)
    except (RuntimeError, TypeError, ValueError):  # nested too deeply; no picture; not JSON, or beyond 64 bits
        return None
    if len(numbers) != rows * PIXELS or np.maximum.reduce(numbers) > FULL_INK:
        return None
    return Decoded(numbers.astype(np.uint8).reshape(-1, SIDE, SIDE), many)


def _lists_of(picture: object) -> int:
    """Number of lists in a picture of 784 numbers or 28 x 28. Raises TypeError or ValueError for anything else."""
    if isinstance(picture, Array):
        if len(picture) == PIXELS:
            return 1
        if set(map(len, picture)) == {SIDE}:  # type: ignore[arg-type] # what has no length raises TypeError
            return 1 + len(picture)
    raise ValueError("no picture")


def _brackets(body: bytes) -> int:
    """Number of opening brackets, in a longer body counted with NumPy: `bytes.count` would take as long as parsing."""
    if len(body) <= COUNTED_BYTES:
        return body.count(b"[")
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")))


def _parser() -> Parser:
    """The parser of the current thread: a parser holds one document at a time."""
    try:
        parser: Parser = _thread_local.parser
    except AttributeError:
        parser = _thread_local.parser = Parser()
    return parser
