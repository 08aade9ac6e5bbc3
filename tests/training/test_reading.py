"""Answers to the pieces of a picture become one digit, a line, or a verdict on the picture."""

import numpy as np
import pytest

from training.answers import (
    ACCEPTED,
    CERTAINTY,
    COLUMNS,
    DIGIT,
    SEVERAL_DIGITS,
    UNCERTAIN,
    UNCLEAR_PICTURE,
    VERDICT,
    Answers,
)
from training.picture.line import Box, Line, Piece
from training.reading import read_digit, read_digits, read_line


def piece(group, first, last, aspect=0.8):
    return Piece(group, first, last, Box(0.1 * group, 0.0, 0.1, 1.0), aspect, np.zeros((28, 28), np.uint8))


def answers(*rows):
    """Answers of (digit, certainty, verdict)."""
    columns = np.zeros((len(rows), COLUMNS), np.float32)
    for column, (digit, certainty, verdict) in zip(columns, rows, strict=True):
        column[DIGIT], column[CERTAINTY], column[VERDICT] = digit, certainty, verdict
    return Answers(columns)


WIDE = [piece(0, 0, 2, 1.4), piece(0, 0, 1), piece(0, 1, 2)]


def verdict(reading):
    return reading.answers.columns[0, VERDICT]


def test_one_clear_digit_keeps_its_verdict():
    line = Line([piece(0, 0, 1)], 0, True, 0)
    for own in (ACCEPTED, UNCERTAIN):
        reading = read_digit(line, answers((7, 0.99, own)))
        assert (verdict(reading), reading.seen, reading.rows, reading.boxes) == (own, [1], [0], [])


def test_an_unclear_picture_is_not_accepted():
    line = Line([piece(0, 0, 1)], 0, False, 0)
    assert verdict(read_digit(line, answers((7, 0.99, ACCEPTED)))) == UNCLEAR_PICTURE
    assert verdict(read_digit(line, answers((7, 0.5, UNCERTAIN)))) == UNCERTAIN
    assert verdict(read_line(line, answers((7, 0.99, ACCEPTED)))) == UNCLEAR_PICTURE


def test_digits_beside_it_are_told():
    reading = read_digit(Line([piece(0, 0, 1)], 0, True, 2), answers((7, 0.99, ACCEPTED)))
    assert (verdict(reading), reading.seen) == (SEVERAL_DIGITS, [3])


def test_digits_that_touch_are_two_if_both_are_surer_than_the_whole():
    line = Line(WIDE, 0, True, 0)
    reading = read_digit(line, answers((8, 0.6, UNCERTAIN), (4, 0.99, ACCEPTED), (2, 0.99, ACCEPTED)))
    assert (verdict(reading), reading.seen, reading.rows) == (SEVERAL_DIGITS, [2], [0])
    assert read_line(line, answers((8, 0.6, 1), (4, 0.99, 0), (2, 0.99, 0))).text == "42"


@pytest.mark.parametrize("certainty", [0.95, 1.0])
def test_a_wide_digit_that_is_accepted_is_one_whatever_its_halves_look_like(certainty):
    reading = read_digit(Line(WIDE, 0, True, 0), answers((2, certainty, ACCEPTED), (7, 1, 0), (1, 1, 0)))
    assert (verdict(reading), reading.seen) == (ACCEPTED, [1])


def test_several_pictures_have_an_answer_each_from_their_own_pieces():
    lines = [Line([piece(0, 0, 1)], 0, True, 0), Line(WIDE, 0, True, 0), Line([piece(0, 0, 1)], 0, False, 0)]
    read = read_digits(lines, answers((7, 0.99, 0), (8, 0.6, 1), (4, 0.99, 0), (2, 0.99, 0), (3, 0.99, 0)))
    assert (read.rows, read.seen, read.boxes) == ([0, 1, 4], [1, 2, 1], [])
    assert read.answers.columns[:, DIGIT].tolist() == [7, 8, 3]
    assert read.answers.columns[:, VERDICT].tolist() == [ACCEPTED, SEVERAL_DIGITS, UNCLEAR_PICTURE]


def test_a_line_has_a_box_for_each_digit():
    line = Line([piece(0, 0, 1), piece(1, 0, 1)], 1, True, 1)
    reading = read_line(line, answers((4, 0.9, 0), (2, 0.9, 0)))
    assert (reading.text, [box.left for box in reading.boxes]) == ("42", [0.0, 0.1])


def test_the_answers_of_the_network_stay_as_they_are():
    given = answers((7, 0.99, ACCEPTED))
    read_digit(Line([piece(0, 0, 1)], 0, False, 0), given)
    read_line(Line([piece(0, 0, 1)], 0, False, 0), given)
    assert given.columns[0, VERDICT] == ACCEPTED
