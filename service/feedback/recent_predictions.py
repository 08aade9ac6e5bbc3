"""The recent predictions: a correction can name a prediction by id instead of sending its picture again.

Each worker process writes a ring buffer of records, one memory-mapped file, which all workers of the service can read.
"""

from __future__ import annotations

import hmac
import mmap
import os
import re
import secrets
import struct
from contextlib import suppress
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from service.errors import UnknownPrediction, WrongValue, shortened
from training.images import CLASSES, PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

HEADER: Final = "X-Prediction-Id"
ID: Final = re.compile(r"([0-9]{1,4})-([1-9][0-9]{0,17})-([0-9a-f]{32})")
"""Index of the worker process, number of the prediction in this process, tag: keyed BLAKE2s of the number.

The key is a secret of the process: nobody can tell the tag of another prediction, and so correct it.
"""
SECRET_BYTES: Final = 32
TAG_BYTES: Final = 16
ANSWER_BYTES: Final = 4 * CLASSES
RECORD: Final = struct.Struct(f"<QI64sI{ANSWER_BYTES}s{PIXELS}sQ")
"""Number, pictures in the request, model, version, probabilities float32 [10], pixels uint8 [784], number again."""
NUMBER: Final = struct.Struct("<Q")
RECORD_BYTES: Final = RECORD.size
COLUMNS: Final = np.dtype(
    [
        ("number", "<u8"),
        ("rows", "<u4"),
        ("model", "S64"),
        ("version", "<u4"),
        ("answer", f"V{ANSWER_BYTES}"),
        ("pixels", f"V{PIXELS}"),
        ("number_again", "<u8"),
    ]
)
"""The fields of RECORD, for NumPy."""
pack_record: Final = RECORD.pack_into


class RecentPrediction(NamedTuple):
    """A picture uint8 [784], row by row, and the digit that a version of a model predicted."""

    model: str
    version: int
    predicted: int
    pixels: bytes


class RecentPredictions:
    """A ring buffer with the last `limit_rows` predictions of this process; 0 keeps none.

    `place` is the index of this process among the workers. The ring buffer is a file in `folder`, shared by the
    workers, or without a folder in the memory of this process. Other processes may read while this process writes.
    Raises OSError when the disk has no room for the file.
    Not thread-safe: one thread at a time.
    """

    def __init__(self, limit_rows: int, place: int = 0, folder: str | None = None) -> None:
        self._limit_rows, self._place, self._folder = limit_rows, place, folder
        self._file = _path(folder, place) if folder and limit_rows else None
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._keyed_hash = blake2s(key=self._secret, digest_size=TAG_BYTES)
        self._id = b"%d-%%d-%%b" % place
        self._last = 0
        size_bytes = SECRET_BYTES + RECORD_BYTES * limit_rows
        self._ring = _create_file(self._file, size_bytes) if self._file else bytearray(size_bytes)
        self._ring[:SECRET_BYTES] = self._secret

    def remember(self, images: Images, probabilities: NDArray[np.float32], *, model: str, version: int) -> bytes | None:
        """Stores images uint8 [n, 28, 28] with their probabilities float32 [n, 10].

        Returns the id of the first prediction, which names the whole request; None if nothing is stored.
        """
        if not self._limit_rows:
            return None
        rows, first = len(images), self._last + 1
        if rows == 1:
            pack_record(  # fields are written in order: a half-written record has two different numbers
                self._ring,
                SECRET_BYTES + RECORD_BYTES * (first % self._limit_rows),
                first,
                1,
                model.encode(),
                version,
                probabilities.tobytes(),
                images.tobytes(),
                first,
            )
        else:
            self._write(first, model.encode(), version, probabilities, images)
        self._last += rows
        tag = self._keyed_hash.copy()
        tag.update(b"%d" % first)
        return self._id % (first, tag.hexdigest().encode())

    def find(self, prediction: str, index: int = 0) -> RecentPrediction:
        """The prediction with an id, or number `index` of its request.

        Raises UnknownPrediction for an id that is unknown or overwritten, WrongValue for an index beyond the request.
        """
        match = ID.fullmatch(prediction)
        if not match:
            raise _unknown(prediction)
        place, number = int(match[1]), int(match[2])
        ring = self._ring if place == self._place else self._ring_of(place)
        if not hmac.compare_digest(_tag(ring, number), match[3]):
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
        return RecentPrediction(
            name.rstrip(b"\0").decode(), version, int(np.frombuffer(answer, "<f4").argmax()), pixels
        )

    def _write(
        self, first: int, model: bytes, version: int, probabilities: NDArray[np.float32], images: Images
    ) -> None:
        """Writes the records of a request, numbers from `first` on, field by field: 4,096 take half a millisecond."""
        rows = len(images)
        records = np.frombuffer(self._ring, COLUMNS, offset=SECRET_BYTES)
        numbers = np.arange(first, first + rows, dtype=np.uint64)
        answers = np.frombuffer(np.ascontiguousarray(probabilities), COLUMNS["answer"])
        pixels = np.frombuffer(np.ascontiguousarray(images), COLUMNS["pixels"])
        start = max(0, rows - self._limit_rows)  # there is no room for what is before
        while start < rows:
            place = (first + start) % self._limit_rows
            stop = min(rows, start + self._limit_rows - place)
            part, of = records[place : place + stop - start], slice(start, stop)
            values = numbers[of], rows, model, version, answers[of], pixels[of], numbers[of]
            for field, value in zip(COLUMNS.names or (), values, strict=True):
                part[field] = value
            start = stop

    def close(self) -> None:
        """Removes the file of this process, unless another process has taken its place."""
        with suppress(FileNotFoundError):
            if self._file and _secret_of(self._file) == self._secret:
                self._file.unlink()

    def _ring_of(self, place: int) -> mmap.mmap | bytes:
        """The ring buffer of another worker process; empty if there is none."""
        if not self._folder:
            return b""
        try:
            with _path(self._folder, place).open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # the file is not there, or still empty
            return b""


def _tag(ring: mmap.mmap | bytearray | bytes, number: int) -> str:
    """The tag of a prediction number; empty if the ring buffer is not finished."""
    secret = bytes(ring[:SECRET_BYTES])
    return blake2s(b"%d" % number, key=secret, digest_size=TAG_BYTES).hexdigest() if any(secret) else ""


def _read(ring: mmap.mmap | bytearray | bytes, number: int) -> tuple[Any, ...] | None:
    """The record of a prediction number; None if it is overwritten or being written."""
    if not (limit_rows := (len(ring) - SECRET_BYTES) // RECORD_BYTES):
        return None
    start = SECRET_BYTES + RECORD_BYTES * (number % limit_rows)
    record = RECORD.unpack(ring[start : start + RECORD_BYTES])
    (after,) = NUMBER.unpack_from(ring, start)  # written first: no writer has begun since the copy
    return record if record[0] == record[-1] == after == number else None


def _path(folder: str, place: int) -> Path:
    return Path(folder, f"predictions-{place}")


def _secret_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SECRET_BYTES)


def _create_file(path: Path, size_bytes: int) -> mmap.mmap:
    """A new file, mapped to memory; replaces the file of a dead process, whose ids are lost."""
    path.unlink(missing_ok=True)
    with path.open("xb+") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)  # without room, a later write would raise SIGBUS
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
