"""Corrections as data: which are dropped, which are learned and which are held out for the gate."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.digits import DataError, Digits
from training.retraining.corrected import sort_out


def picture(number: int) -> np.ndarray:
    """A picture uint8 [28, 28] of its own for each number."""
    return np.full((28, 28), number, np.uint8)


def sorted_out(*given: tuple[int, int], known: int = 255):
    """Corrections (number of the picture, digit), sorted out."""
    images = np.array([picture(number) for number, _ in given], np.uint8).reshape(-1, 28, 28)
    labels = np.array([digit for _, digit in given], np.uint8)
    return sort_out(images, labels, Digits(picture(known)[None], np.zeros(1, np.uint8)))


def first_byte(number: int) -> int:
    return hashlib.sha256(picture(number).tobytes()).digest()[0]


def test_the_hash_of_the_pixels_alone_says_what_is_held_out():
    corrected = sorted_out(*[(number, number % 10) for number in range(200)])
    held_out = {int(image[0, 0]) for image in corrected.images[corrected.held_out]}
    assert held_out == {number for number in range(200) if first_byte(number) < 64}
    assert (corrected.labels == corrected.images[:, 0, 0] % 10).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=80), st.randoms())
def test_order_does_not_matter_every_picture_comes_once_and_all_are_counted(given, random):
    corrected = sorted_out(*given, known=7)
    shuffled = random.sample(given, len(given))
    again = sorted_out(*shuffled, known=7)
    assert (again.images == corrected.images).all()
    assert (again.labels == corrected.labels).all()
    assert again.counts == corrected.counts
    numbers = corrected.images[:, 0, 0].tolist()
    assert len(set(numbers)) == len(numbers)
    counts = corrected.counts
    assert counts.given == counts.repeated + counts.contested + counts.known + counts.training + counts.held_out
    assert (counts.training, counts.held_out) == ((~corrected.held_out).sum(), corrected.held_out.sum())


def test_a_picture_with_two_digits_is_dropped_and_one_with_the_same_digit_twice_is_kept():
    corrected = sorted_out((1, 4), (2, 5), (1, 9), (2, 5), (3, 6))
    assert sorted(corrected.images[:, 0, 0].tolist()) == [2, 3]
    assert (corrected.counts.contested, corrected.counts.repeated) == (2, 1)


def test_a_picture_that_the_champion_knows_is_neither_learned_nor_judged_by():
    corrected = sorted_out((1, 4), (2, 5), (2, 6), known=2)
    assert corrected.images[:, 0, 0].tolist() == [1]
    assert (corrected.counts.known, corrected.counts.contested) == (2, 0)


def test_what_is_learned_and_what_judges_have_no_picture_in_common():
    corrected = sorted_out(*[(number % 100, number % 100 % 10) for number in range(200)])
    digits = Digits(picture(200)[None], np.array([3], np.uint8))
    learned = corrected.learned_with(digits, copies=3)
    assert len(learned) == 1 + 3 * corrected.counts.training
    assert not set(learned.images[:, 0, 0]) & set(corrected.judges.images[:, 0, 0])
    assert len(corrected.behind(digits)) == 1 + 100


def test_no_corrections_are_no_error():
    corrected = sorted_out()
    assert corrected.counts.given == corrected.counts.held_out == 0
    digits = Digits(picture(1)[None], np.array([3], np.uint8))
    assert len(corrected.learned_with(digits, copies=3)) == 1
    with pytest.raises(DataError, match="0 digits"):
        _ = corrected.judges
