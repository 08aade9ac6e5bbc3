"""Answers as columns beside the columns that the input has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from training.answers import ACCEPTED, CONFIDENCE, DIGIT, REASONS, VERDICT
from training.data.digits import DataError
from training.images import CLASSES
from training.reading import read_digit

if TYPE_CHECKING:
    from training.answers import Answers
    from training.prediction.batch import Batch
    from training.predictor import Predictor

KINDS: Final[dict[str, pa.DataType]] = {
    "digit": pa.uint8(),
    "confidence": pa.float32(),
    **{f"probability{digit}": pa.float32() for digit in range(CLASSES)},
    "accepted": pa.bool_(),
    "reason": pa.string(),
    "model": pa.string(),
    "version": pa.int32(),
}
ANSWER: Final = pa.schema(KINDS)
"""The columns of an answer. Digit, confidence and probabilities are null for a row that cannot be read, whose reason
says why; accepted and reason are null for a version whose card has no limits."""
NOT_FINITE: Final = "the answer is not finite"
PREFIX: Final = "input_"
"""Before the name of a column of the input that is also one of an answer."""


def schema_of(kept: pa.Schema) -> pa.Schema:
    """The columns of the output: those of the input, then those of an answer. Raises DataError for a repeated name."""
    names = [field.name for field in kept]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"the input has several columns {repeated[0]}, want different names")
    fields = []
    for field in kept:
        name = field.name
        while name in ANSWER.names or (name != field.name and name in names):
            name = PREFIX + name
        fields.append(field.with_name(name))
    return pa.schema([*fields, *ANSWER])


def answered(batch: Batch, predictor: Predictor) -> Answers:
    """The answers to the rows of a batch; pictures of other sizes than 28 x 28 are read as the service reads them."""
    columns = np.array(predictor.columns(batch.images))
    if batch.lines:
        of_pieces = predictor.columns(np.concatenate([line.images for line in batch.lines.values()]))
        first = 0
        for row, line in batch.lines.items():
            pieces = predictor.read(of_pieces[first : first + len(line.pieces)])
            columns[row] = read_digit(line, pieces).answers.columns[0]
            first += len(line.pieces)
    return predictor.read(columns)


def table_of(batch: Batch, answers: Answers, schema: pa.Schema, model: str, version: int) -> pa.Table:
    """The rows of the output. Answers that are not finite become problems of the batch."""
    columns, rows = answers.columns, len(answers.columns)
    for row in np.flatnonzero(~np.isfinite(columns[:, VERDICT])).tolist():
        batch.problems.setdefault(row, NOT_FINITE)
    unread = np.zeros(rows, np.bool_)
    unread[[*batch.problems]] = True
    finite = np.where(unread[:, None], 0, columns)
    reasons: list[str | None] = [
        REASONS[verdict] if answers.judged else None for verdict in finite[:, VERDICT].astype(int)
    ]
    for row, problem in batch.problems.items():
        reasons[row] = problem
    accepted = (finite[:, VERDICT] == ACCEPTED) & ~unread
    values = [
        pa.array(finite[:, DIGIT].astype(np.uint8), mask=unread),
        pa.array(finite[:, CONFIDENCE], mask=unread),
        *(pa.array(finite[:, digit], mask=unread) for digit in range(CLASSES)),
        pa.array(accepted, mask=None if answers.judged else ~unread),
        pa.array(reasons, pa.string()),
        pa.repeat(model, rows),
        pa.repeat(pa.scalar(version, pa.int32()), rows),
    ]
    return pa.table([*batch.kept.columns, *values], schema=schema)
