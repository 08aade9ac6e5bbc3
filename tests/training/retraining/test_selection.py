"""Corrections as data: which are dropped, which are learned and which are held out for the gate."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.digits import DataError, Digits
from training.retraining.selection import select


def picture(number: int) -> np.ndarray:
    """A picture uint8 [28, 28] of its own for each number."""
    return np.full((28, 28), number, np.uint8)


def selected(*given: tuple[int, int], known: int = 255):
    """Corrections (number of the picture, digit), sorted out."""
    images = np.array([picture(number) for number, _ in given], np.uint8).reshape(-1, 28, 28)
    labels = np.array([digit for _, digit in given], np.uint8)
    return select(images, labels, Digits(picture(known)[None], np.zeros(1, np.uint8)))


def first_byte(number: int) -> int:
    return hashlib.sha256(picture(number).tobytes()).digest()[0]


def test_the_hash_of_the_pixels_alone_says_what_is_held_out():
    selection = selected(*[(number, number % 10) for number in range(200)])
    held_out = {int(image[0, 0]) for image in selection.images[selection.held_out]}
    assert held_out == {number for number in range(200) if first_byte(number) < 64}
    assert (selection.labels == selection.images[:, 0, 0] % 10).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=80), st.randoms())
def test_order_does_not_matter_every_picture_comes_once_and_all_are_counted(given, random):
    selection = selected(*given, known=7)
    shuffled = random.sample(given, len(given))
    again = selected(*shuffled, known=7)
    assert (again.images == selection.images).all()
    assert (again.labels == selection.labels).all()
    assert again.counts == selection.counts
    numbers = selection.images[:, 0, 0].tolist()
    assert len(set(numbers)) == len(numbers)
    counts = selection.counts
    assert counts.given == counts.repeated + counts.contested + counts.known + counts.training + counts.held_out
    assert (counts.training, counts.held_out) == ((~selection.held_out).sum(), selection.held_out.sum())


def test_a_picture_with_two_digits_is_dropped_and_one_with_the_same_digit_twice_is_kept():
    selection = selected((1, 4), (2, 5), (1, 9), (2, 5), (3, 6))
    assert sorted(selection.images[:, 0, 0].tolist()) == [2, 3]
    assert (selection.counts.contested, selection.counts.repeated) == (2, 1)


def test_a_picture_that_the_champion_knows_is_neither_learned_nor_judged_by():
    selection = selected((1, 4), (2, 5), (2, 6), known=2)
    assert selection.images[:, 0, 0].tolist() == [1]
    assert (selection.counts.known, selection.counts.contested) == (2, 0)


def test_what_is_learned_and_what_judges_have_no_picture_in_common():
    selection = selected(*[(number % 100, number % 100 % 10) for number in range(200)])
    digits = Digits(picture(200)[None], np.array([3], np.uint8))
    learned = selection.learned_with(digits, copies=3)
    assert len(learned) == 1 + 3 * selection.counts.training
    assert not set(learned.images[:, 0, 0]) & set(selection.held_out_digits.images[:, 0, 0])
    assert len(selection.appended_to(digits)) == 1 + 100


def test_no_corrections_are_no_error():
    selection = selected()
    assert selection.counts.given == selection.counts.held_out == 0
    digits = Digits(picture(1)[None], np.array([3], np.uint8))
    assert len(selection.learned_with(digits, copies=3)) == 1
    with pytest.raises(DataError, match="0 digits"):
        _ = selection.held_out_digits
