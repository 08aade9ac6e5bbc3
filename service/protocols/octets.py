"""Pictures as octets (application/octet-stream): 784 bytes each, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.errors import WrongValue, too_many_rows
from service.http.body import LENGTH_DIGITS
from service.http.media_types import misplaced
from service.protocols.pictures import Decoded
from training.images import PIXELS, SIDE

if TYPE_CHECKING:
    from service.headers import Headers


def count_pictures(headers: Headers, *, limit_rows: int) -> int:
    """The number of pictures that a body has by its Content-Length; 1 where that says nothing, or says too many."""
    length = headers.get(b"content-length", b"")
    if b"content-encoding" in headers or not length.isdigit() or len(length) > LENGTH_DIGITS:
        return 1
    rows = int(length) // PIXELS
    return rows if 1 <= rows <= limit_rows else 1


def decode_octets(body: bytes, *, limit_rows: int) -> Decoded:
    """Pictures uint8 [n, 28, 28] of 784 bytes each, without a copy: the array is a view of the body.

    Raises WrongValue, TooLarge.
    """
    rows, rest = divmod(len(body), PIXELS)
    if rest or not rows:
        raise WrongValue(
            "wrong_length" if body else "empty",
            f"the body has {len(body)} bytes, want a multiple of {PIXELS} ({SIDE} x {SIDE}, row by row, for a picture)"
            f"{misplaced(body)}",
            found=f"{len(body)} bytes",
            wanted=f"n x {PIXELS} bytes",
        )
    if rows > limit_rows:
        raise too_many_rows(rows, limit_rows)
    return Decoded(np.frombuffer(body, np.uint8).reshape(rows, SIDE, SIDE), many=True)
