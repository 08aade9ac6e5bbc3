"""Answers -> response bodies of `POST /predict`: JSON, octets, or .npy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from service.protocols.json_body import OPTIONS
from service.protocols.native.query import DEFAULT_FIELDS
from training.answers import ACCEPTED, CONFIDENCE, DIGIT, REASONS, VERDICT, Answers
from training.images import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from service.protocols.warnings import FrameWarning
    from training.images import Images
    from training.reading import Reading

    Probabilities = NDArray[np.float32]
    Sets = NDArray[np.bool_]
    Column = Callable[[Answers, Images, Sets | None], Iterable[Any]]


def _verdicts(answers: Answers) -> list[int | None]:
    verdicts = answers.verdicts
    return [None] * len(answers.columns) if verdicts is None else verdicts.tolist()


def _accepted(answers: Answers, *_: object) -> list[bool | None]:
    return [None if verdict is None else verdict == ACCEPTED for verdict in _verdicts(answers)]


def _reasons(answers: Answers, *_: object) -> list[str | None]:
    return [REASONS[verdict or ACCEPTED] for verdict in _verdicts(answers)]


def _sets(answers: Answers, _: Images, sets: Sets | None) -> list[list[int] | None]:
    return [None] * len(answers.columns) if sets is None else [np.flatnonzero(inside).tolist() for inside in sets]


COLUMNS: Final[dict[str, Column]] = {
    "digit": lambda answers, *_: answers.digits.tolist(),
    "confidence": lambda answers, *_: answers.columns[:, CONFIDENCE],
    "probabilities": lambda answers, *_: answers.columns[:, :CLASSES],
    "accepted": _accepted,
    "reason": _reasons,
    "prediction_set": _sets,
    "pixels": lambda _, images, *__: images.reshape(len(images), -1),
}
"""Field name -> function that returns the values of the field for n predictions."""
PIECE_ROWS: Final = 128
"""Predictions in one call of orjson, which keeps the GIL, and so delays the event loop: by 1 ms with `pixels`."""


def encode_json(
    answers: Answers,
    images: Images,
    *,
    name: str,
    version: int,
    many: bool,
    fields: Collection[str],
    sets: Sets | None = None,
    warnings: Sequence[FrameWarning] = (),
    reading: Reading | None = None,
) -> bytes:
    """JSON body of n answers to images uint8 [n, 28, 28]; n is 1 unless `many`.

    `sets` are prediction sets, bool [n, 10], or None for null. Without `warnings`, there is no such field.
    `reading` is what was read in image files: an answer has a field `digits_seen` where a file has several digits; of a
    line there is the field `text`, and a `box` for each answer.
    """
    end: dict[str, Any] = {"model": {"name": name, "version": version}}
    if warnings:
        end["warnings"] = [dict(zip(warning._fields, warning, strict=True)) for warning in warnings]
    if reading and reading.boxes:
        predictions = _predictions(answers, images, sets, fields)
        boxed = [{**one, "box": box._asdict()} for one, box in zip(predictions, reading.boxes, strict=True)]
        return orjson.dumps({"text": reading.text, "predictions": boxed, **end}, option=OPTIONS)
    if reading and reading.seen[0] > 1 and not many:
        end["digits_seen"] = reading.seen[0]
    if reading and many:
        predictions = _predictions(answers, images, sets, fields)
        for prediction, seen in zip(predictions, reading.seen, strict=True):
            if seen > 1:
                prediction["digits_seen"] = seen
        return orjson.dumps({"predictions": predictions, **end}, option=OPTIONS)
    if not many:
        (prediction,) = [_one(answers)] if fields is DEFAULT_FIELDS else _predictions(answers, images, sets, fields)
        return orjson.dumps({**prediction, **end}, option=OPTIONS)
    pieces: list[bytes | memoryview] = []
    for start in range(0, len(images), PIECE_ROWS):
        of = slice(start, start + PIECE_ROWS)
        piece = Answers(answers.columns[of], answers.judged)
        predictions = _predictions(piece, images[of], sets if sets is None else sets[of], fields)
        encoded = orjson.dumps(predictions, option=orjson.OPT_SERIALIZE_NUMPY)
        pieces += [b",", memoryview(encoded)[1:-1]]  # without its brackets, and not copied
    pieces[0] = b'{"predictions":['
    return b"".join([*pieces, b"],", memoryview(orjson.dumps(end))[1:], b"\n"])


def _predictions(answers: Answers, images: Images, sets: Sets | None, fields: Collection[str]) -> list[dict[str, Any]]:
    columns = [COLUMNS[field](answers, images, sets) for field in fields]
    return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


def _one(answers: Answers) -> dict[str, Any]:
    """The fields by default of the first answer: a quarter of the time that a table of one row takes."""
    row = answers.columns[0]
    verdict = int(row[VERDICT]) if answers.judged else None
    return {
        "digit": int(row[DIGIT]),
        "confidence": row[CONFIDENCE],
        "probabilities": row[:CLASSES],
        "accepted": None if verdict is None else verdict == ACCEPTED,
        "reason": REASONS[verdict or ACCEPTED],
    }


def encode_octets(probabilities: Probabilities) -> bytes:
    """The digits of probabilities float32 [n, 10], a byte each."""
    return probabilities.argmax(axis=1).astype(np.uint8).tobytes()


def encode_npy(probabilities: Probabilities, *, many: bool) -> bytes:
    """Probabilities float32 [n, 10] as a .npy file; [10] for a single picture."""
    file = io.BytesIO()
    np.save(file, probabilities if many else probabilities[0], allow_pickle=False)
    return file.getvalue()
