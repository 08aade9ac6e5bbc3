"""Answers -> response bodies of `POST /predict`: JSON, octets, or .npy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from service.protocols.json_body import OPTIONS
from training.answers import ACCEPTED, CONFIDENCE, REASONS
from training.images import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from numpy.typing import NDArray

    from training.answers import Answers
    from training.images import Images

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


def encode_json(
    answers: Answers,
    images: Images,
    *,
    name: str,
    version: int,
    many: bool,
    fields: Collection[str],
    sets: Sets | None = None,
) -> bytes:
    """JSON body of n answers to images uint8 [n, 28, 28]; n is 1 unless `many`.

    `sets` are prediction sets, bool [n, 10], or None for null.
    """
    columns = [COLUMNS[field](answers, images, sets) for field in fields]
    predictions = [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]
    model = {"name": name, "version": version}
    if many:
        return orjson.dumps({"predictions": predictions, "model": model}, option=OPTIONS)
    return orjson.dumps({**predictions[0], "model": model}, option=OPTIONS)


def encode_octets(probabilities: Probabilities) -> bytes:
    """The digits of probabilities float32 [n, 10], a byte each."""
    return probabilities.argmax(axis=1).astype(np.uint8).tobytes()


def encode_npy(probabilities: Probabilities, *, many: bool) -> bytes:
    """Probabilities float32 [n, 10] as a .npy file; [10] for a single picture."""
    file = io.BytesIO()
    np.save(file, probabilities if many else probabilities[0], allow_pickle=False)
    return file.getvalue()
