"""The last predictions, so that a correction can name one instead of sending its picture again.

Each process writes a ring of records, which the others of the same service can read: a file for each, mapped to memory.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from service.errors import UnknownPrediction, WrongValue, shortened
from training.images import CLASSES, PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

HEADER: Final = "X-Prediction-Id"
ID: Final = re.compile(r"([0-9]{1,4})-([1-9][0-9]{0,17})-([0-9a-f]{16})")
"""The place of the process, the number of the prediction there, and the tag of the process."""
TAG_BYTES: Final = 16
ANSWER_BYTES: Final = 4 * CLASSES
RECORD: Final = struct.Struct(f"<QI64sI{ANSWER_BYTES}s{PIXELS}sQ")
"""Number, pictures in its request, model, version, probabilities float32 [10], pixels uint8 [784], number again."""
NUMBER: Final = struct.Struct("<Q")
RECORD_BYTES: Final = RECORD.size
WRITE: Final = RECORD.pack_into


class Remembered(NamedTuple):
    """A picture uint8 [784], row by row, and the digit that a version of a model took it for."""

    model: str
    version: int
    predicted: int
    pixels: bytes


class RecentPredictions:
    """The last `limit_rows` predictions of the process at a place among the processes of a service; 0 keeps none.

    They are in a file in `folder`, which these processes share, or without one in memory that nobody else reads.
    Raises OSError when there is no room for the file. Only one thread may `remember`.
    """

    def __init__(self, limit_rows: int, place: int = 0, folder: str | None = None) -> None:
        self._limit_rows, self._place, self._folder = limit_rows, place, folder
        self._file = _path(folder, place) if folder and limit_rows else None
        self._tag = secrets.token_hex(TAG_BYTES // 2).encode()
        self._id = b"%d-%%d-%b" % (place, self._tag)
        self._last = 0
        size_bytes = TAG_BYTES + RECORD_BYTES * limit_rows
        self._ring = _made(self._file, size_bytes) if self._file else bytearray(size_bytes)
        self._ring[:TAG_BYTES] = self._tag

    def remember(self, images: Images, probabilities: NDArray[np.float32], *, model: str, version: int) -> bytes | None:
        """Keeps uint8 [n, 28, 28] and the answers float32 [n, 10]; the id of the first one, or None if none is kept."""
        if not self._limit_rows:
            return None
        rows, name, first = len(images), model.encode(), self._last + 1
        pixels, answers = images.tobytes(), probabilities.tobytes()
        pixel = answer = 0
        for number in range(first, first + rows):
            WRITE(  # from left to right: whoever reads in between finds two different numbers
                self._ring,
                TAG_BYTES + RECORD_BYTES * (number % self._limit_rows),
                number,
                rows,
                name,
                version,
                answers[answer : (answer := answer + ANSWER_BYTES)],
                pixels[pixel : (pixel := pixel + PIXELS)],
                number,
            )
        self._last += rows
        return self._id % first

    def find(self, prediction: str, index: int = 0) -> Remembered:
        """The picture at an index of the request that got an id, and what was said of it.

        Raises UnknownPrediction when it is not there any more or never was, and WrongValue for an index beyond it.
        """
        match = ID.fullmatch(prediction)
        if not match:
            raise _unknown(prediction)
        place, number = int(match[1]), int(match[2])
        ring = self._ring if place == self._place else self._of(place)
        if ring[:TAG_BYTES] != match[3].encode():
            raise _unknown(prediction)
        record = _read(ring, number)
        if record and not index < record[1]:
            wanted = "0" if record[1] == 1 else f"0 to {record[1] - 1}"
            raise WrongValue(
                "out_of_range",
                f"index is {index}, want {wanted} for prediction {prediction}",
                field="index",
                found=str(index),
                wanted=wanted,
            )
        record = _read(ring, number + index) if record and index else record
        if not record:
            raise _unknown(prediction)
        _, _, name, version, answer, pixels, _ = record
        return Remembered(name.rstrip(b"\0").decode(), version, int(np.frombuffer(answer, "<f4").argmax()), pixels)

    def close(self) -> None:
        """Removes the file, which a supervisor that was killed would leave behind; nobody finds them any more."""
        if self._file:
            self._file.unlink(missing_ok=True)

    def _of(self, place: int) -> mmap.mmap | bytes:
        """What the process at another place has written; nothing if there is none."""
        if not self._folder:
            return b""
        try:
            with _path(self._folder, place).open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # the file is not there, or still empty
            return b""


def _read(ring: mmap.mmap | bytearray | bytes, number: int) -> tuple[Any, ...] | None:
    """The record of a number, unless its place has another one, or is being written."""
    if not (limit_rows := (len(ring) - TAG_BYTES) // RECORD_BYTES):
        return None
    start = TAG_BYTES + RECORD_BYTES * (number % limit_rows)
    record = RECORD.unpack(ring[start : start + RECORD_BYTES])
    (after,) = NUMBER.unpack_from(ring, start)  # a writer begins with it, so it has not begun while this was read
    return record if record[0] == record[-1] == after == number else None


def _path(folder: str, place: int) -> Path:
    return Path(folder, f"predictions-{place}")


def _made(path: Path, size_bytes: int) -> mmap.mmap:
    """A new file in place of one that a dead process may have left, whose ids nobody finds any more."""
    path.unlink(missing_ok=True)
    with path.open("xb+") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)  # a disk that is full later would kill the process
        return mmap.mmap(file.fileno(), size_bytes)


def _unknown(prediction: str) -> UnknownPrediction:
    found = shortened(prediction)
    return UnknownPrediction(
        "unknown_prediction",
        f"prediction {found!r} is not known, or not any more; the picture itself can be sent as pixels",
        field="prediction",
        found=found,
        wanted=f"the {HEADER} of one of the last answers",
    )
