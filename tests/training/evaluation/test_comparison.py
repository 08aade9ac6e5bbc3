"""Two versions on the same pictures: what changed, for better or worse."""

import pytest

from training.evaluation.comparison import Changed, Comparison, DigitChanges

LABELS = [7, 7, 7, 1, 1, 0]
FIRST = [7, 1, 7, 1, 7, 3]
SECOND = [7, 7, 7, 4, 1, 5]


def test_what_changed_is_counted_by_digit_and_listed_by_picture():
    found = Comparison.of(FIRST, SECOND, LABELS)
    assert (found.pictures, found.errors, found.lost, found.won) == (6, (3, 2), 1, 2)
    assert found.difference == pytest.approx(-1 / 6)
    assert found.digits[7] == DigitChanges(digit=7, pictures=3, lost=0, won=1)
    assert found.digits[1] == DigitChanges(digit=1, pictures=2, lost=1, won=1)
    assert found.digits[2] == DigitChanges(digit=2, pictures=0, lost=0, won=0)
    assert found.changed == [Changed(1, 7, 1, 7), Changed(3, 1, 1, 4), Changed(4, 1, 7, 1), Changed(5, 0, 3, 5)]
    assert found.p_value == 1
    assert found.interval[0] < found.difference < found.interval[1]


def test_equal_answers_have_changed_nothing():
    found = Comparison.of(FIRST, FIRST, LABELS)
    assert (found.changed, found.p_value, found.difference) == ([], 1, 0)
