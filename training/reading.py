"""What a network reads in a picture: one digit, several digits on a line, or nothing that is clear enough.

The preparation (`training.picture`) proposes pieces of ink; the network's answers to all of them decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.answers import ACCEPTED, CERTAINTY, NOT_A_DIGIT, SEVERAL_DIGITS, UNCLEAR_PICTURE, VERDICT, Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.picture.line import Box, Line

IMPOSSIBLE: Final = 1e-6
"""Certainties below it cost no more."""
NO_DIGIT: Final = 2.0
"""What a piece costs more that is refused as not a digit."""
EACH: Final = 0.3
"""What each piece costs: one digit rather than two."""
WIDE: Final = 3.0
"""What a piece that is not accepted costs for each height that it is wider than high."""


class Reading(NamedTuple):
    """The answers to the digits of a line, from left to right, or to the one digit of each of several pictures."""

    rows: list[int]
    """Which pieces they are."""
    answers: Answers
    seen: list[int]
    """Number of digits in each picture; of a line, in one."""
    boxes: list[Box]
    """Where the digits are, of a line."""

    @property
    def text(self) -> str:
        """The digits."""
        return "".join(map(str, self.answers.digits))


def read_digit(line: Line, answers: Answers) -> Reading:
    """The answer to the one digit of a picture, from answers to all pieces; several digits are not accepted."""
    best = [row for row in line.digits(_costs(line, answers)) if line.pieces[row].group == line.best]
    seen = len(best) + line.beside + line.elsewhere
    row = best[0] if len(best) == 1 else line.whole
    columns = answers.columns[row : row + 1].copy()
    if seen > 1:
        columns[0, VERDICT] = SEVERAL_DIGITS
    elif not line.clear and not columns[0, VERDICT]:
        columns[0, VERDICT] = UNCLEAR_PICTURE
    return Reading([row], Answers(columns, answers.judged), [seen], [])


def read_digits(lines: Sequence[Line], answers: Answers) -> Reading:
    """The answers to the one digit of each of several pictures, from answers to all pieces of all of them."""
    readings, starts = [], [0]
    for line in lines:
        end = starts[-1] + len(line.pieces)
        readings.append(read_digit(line, Answers(answers.columns[starts[-1] : end], answers.judged)))
        starts.append(end)
    return Reading(
        [start + row for start, reading in zip(starts, readings, strict=False) for row in reading.rows],
        Answers(np.concatenate([reading.answers.columns for reading in readings]), answers.judged),
        [seen for reading in readings for seen in reading.seen],
        [],
    )


def read_line(line: Line, answers: Answers) -> Reading:
    """The answers to all digits on a line, from answers to all pieces."""
    rows = line.digits(_costs(line, answers))
    columns = answers.columns[rows]
    if not line.clear or line.elsewhere:
        columns[columns[:, VERDICT] == 0, VERDICT] = UNCLEAR_PICTURE
    boxes = [line.pieces[row].box for row in rows]
    return Reading(rows, Answers(columns, answers.judged), [len(rows)], boxes)


def _costs(line: Line, answers: Answers) -> list[float]:
    """The cost of each piece: how uncertain it is, in natural units of -log probability, and how unlike a digit."""
    certainty = np.maximum(answers.columns[:, CERTAINTY], IMPOSSIBLE)
    refused, doubtful = answers.columns[:, VERDICT] == NOT_A_DIGIT, answers.columns[:, VERDICT] != ACCEPTED
    wide = np.array([max(piece.aspect - 1, 0) for piece in line.pieces])
    return (EACH - np.log(certainty) + NO_DIGIT * refused + WIDE * wide * doubtful).tolist()
