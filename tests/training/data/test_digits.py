"""Digits, their fingerprint, and how they are split."""

import numpy as np
import pytest

from tests.support.digits import problem, same, some
from training.data.digits import DataError, Digits
from training.data.split import split
from training.errors import DigitsError
from training.images import PixelError


def test_an_error_in_data_is_for_the_user_and_is_a_value_error() -> None:
    assert issubclass(DataError, DigitsError)
    assert issubclass(DataError, ValueError)
    assert issubclass(PixelError, DigitsError)


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (np.zeros((1, 28, 28)), np.zeros(1, np.uint8), "images are float64, want uint8"),
        (np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64), "labels are int64, want uint8"),
        (np.zeros((1, 784), np.uint8), np.zeros(1, np.uint8), "images have shape [1, 784], want [n, 28, 28]"),
        (
            np.zeros((2, 28, 28), np.uint8),
            np.zeros(3, np.uint8),
            "labels have shape [3], want [2]: one for each image",
        ),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "there are 0 digits, want at least 1"),
        (np.zeros((3, 28, 28), np.uint8), np.array([9, 10, 3], np.uint8), "labels[1] is 10, want 0 to 9"),
    ],
)
def test_digits_refuse_any_other_dtype_shape_or_label(images: np.ndarray, labels: np.ndarray, text: str) -> None:
    assert problem(lambda: Digits(images, labels)) == text


def test_taking_keeps_the_order_asked_for() -> None:
    digits = some()
    assert digits.take([7, 3]).labels.tolist() == [7, 3]
    assert np.array_equal(digits.take([7, 3]).images[1], digits.images[3])
    assert len(digits.take(digits.labels == 4)) == 2


def test_the_fingerprint_of_known_digits_never_changes() -> None:
    digits = Digits(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8))
    assert digits.sha256 == "9ec9fd545b60d41afbaa331e3507dd13fb83be025ba51fc75a473dc996e8f6f6"


def test_the_fingerprint_sees_one_pixel_one_label_and_the_order() -> None:
    digits = some()
    images, labels = digits.images.copy(), digits.labels.copy()
    images[19, 27, 27] ^= 1
    labels[0] = 1
    others = [Digits(images, digits.labels), Digits(digits.images, labels), digits.take(np.arange(20)[::-1])]
    assert len({digits.sha256, *(other.sha256 for other in others)}) == 4
    assert digits.take(np.arange(20)).sha256 == digits.sha256


def numbered(labels: np.ndarray) -> Digits:
    """Digits whose images carry their own number in two pixels."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
    return Digits(images, labels.astype(np.uint8))


def numbers(digits: Digits) -> list[int]:
    return [int(image[0, 0]) * 256 + int(image[0, 1]) for image in digits.images]


def test_the_split_is_exact_stratified_and_in_the_original_order() -> None:
    counts = np.arange(10, 110, 10)  # 10 zeros … 100 nines
    train, validation = split(numbered(np.repeat(np.arange(10), counts)), validation=101)
    assert len(validation) == 101
    assert sorted(numbers(train) + numbers(validation)) == list(range(550))
    assert numbers(train) == sorted(numbers(train))
    assert numbers(validation) == sorted(numbers(validation))
    exact = counts * 101 / 550
    assert (np.abs(np.bincount(validation.labels) - exact) < 1).all()


def test_the_split_of_known_digits_never_changes() -> None:
    # A split that moved would let digits that older checkpoints were calibrated on into training.
    assert numbers(split(numbered(np.arange(40) % 10), validation=11)[1]) == [0, 4, 7, 10, 12, 18, 21, 29, 33, 35, 36]


def test_another_seed_holds_out_other_digits() -> None:
    assert not same(split(some(40), 10, seed=1)[1], split(some(40), 10, seed=2)[1])


def test_a_split_leaves_something_on_both_sides() -> None:
    for held_out in (20, 0):
        assert problem(lambda: split(some(20), held_out)) == (  # noqa: B023 - called at once
            f"there are 20 digits, and {held_out} of them would be held out for validation, want 1 to 19 "
            "(--validation-images)"
        )
    assert len(split(some(20), 19)[0]) == 1


@pytest.mark.parametrize(("digits", "held_out"), [(60_000, 5000), (50_000, 5000), (3000, 300), (20, 2), (5, 1)])
def test_5000_or_a_tenth_is_held_out_whichever_is_smaller(digits, held_out) -> None:
    assert len(split(numbered(np.arange(digits) % 10))[1]) == held_out


def test_the_classes_that_are_missing_are_known() -> None:
    assert some(20).missing == []
    assert numbered(np.array([1, 7, 7])).missing == [0, 2, 3, 4, 5, 6, 8, 9]
