"""Answers -> bodies: JSON, a byte for each digit, or an array in NumPy's own format."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from training.answers import ACCEPTED, REASONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from training.answers import Answers
    from training.images import Images

    Probabilities = NDArray[np.float32]

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
"""float32 as it is, 0.998 and not 0.9980000257492065; and a prompt that curl does not write over."""


def encode_json(
    answers: Answers,
    images: Images,
    *,
    name: str,
    version: int,
    many: bool,
    fields: Collection[str],
    sets: NDArray[np.bool_] | None = None,
) -> bytes:
    """The body for n answers about images uint8 [n, 28, 28]; n is 1 unless the request was for many pictures.

    `sets` are their prediction sets.
    """
    probabilities = answers.probabilities
    verdicts = [None] * len(probabilities) if answers.verdicts is None else answers.verdicts.tolist()
    columns: dict[str, Iterable[Any]] = {
        "digit": answers.digits.tolist(),
        "confidence": probabilities.max(axis=1),
        "probabilities": probabilities,
        "accepted": [None if verdict is None else verdict == ACCEPTED for verdict in verdicts],
        "reason": [REASONS[verdict or 0] for verdict in verdicts],
        "prediction_set": [None] * len(probabilities) if sets is None else map(_listed, sets),
        "pixels": images.reshape(len(images), -1),
    }
    rows = zip(*(columns[field] for field in fields), strict=True)
    predictions = [dict(zip(fields, row, strict=True)) for row in rows]
    model = {"name": name, "version": version}
    if many:
        return orjson.dumps({"predictions": predictions, "model": model}, option=OPTIONS)
    return orjson.dumps({**predictions[0], "model": model}, option=OPTIONS)


def _listed(inside: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(inside).tolist()


def encode_problem(
    code: str, message: str, field: str | None = None, found: str | None = None, wanted: str | None = None
) -> bytes:
    """The body of every answer of status 4xx or 5xx; `schemas.Problem` says what is what."""
    problem = {"code": code, "message": message, "field": field, "found": found, "wanted": wanted}
    return orjson.dumps({"error": problem}, option=orjson.OPT_APPEND_NEWLINE)


def encode_plain_error(message: str) -> bytes:
    """The same under `/v1` and `/v2`, whose clients look for a text."""
    return orjson.dumps({"error": message}, option=orjson.OPT_APPEND_NEWLINE)


def encode_octets(probabilities: Probabilities) -> bytes:
    """The digits of probabilities [n, 10], a byte each."""
    return probabilities.argmax(axis=1).astype(np.uint8).tobytes()


def encode_npy(probabilities: Probabilities, *, many: bool) -> bytes:
    """Probabilities float32 [n, 10] as a .npy file; [10] for a single picture."""
    file = io.BytesIO()
    np.save(file, probabilities if many else probabilities[0], allow_pickle=False)
    return file.getvalue()
