"""Warnings about arrays in another frame than MNIST's: never about digits, always about these frames."""

import numpy as np
import pytest

from service.protocols import warnings
from service.protocols.warnings import CODES, FILE, frame_warnings, warning_headers
from tests.support.fake_predictor import columns_of
from training import mnist
from training.answers import ACCEPTED, NOT_A_DIGIT, UNCERTAIN, VERDICT, Answers

DIGITS = mnist.train().images[:5000]
INVERTED = 255 - DIGITS
UNIT = np.rint(DIGITS / 255).astype(np.uint8)


def answers(rows, verdict=NOT_A_DIGIT, *, judged=True):
    columns = columns_of(np.full((rows, 10), 0.1, np.float32))
    columns[:, VERDICT] = verdict
    return Answers(columns, judged)


def warned(images, *, many=True):
    """Code -> pictures, of images without an accepted answer."""
    return {w.code: w.pictures for w in frame_warnings(answers(len(images)), images, many=many)}


def test_digits_are_not_warned_about_even_where_their_answers_are_not_accepted():
    assert sum(map(len, warned(DIGITS).values())) <= 5, "1 in 1,000; of these again only the ones not accepted"


@pytest.mark.parametrize("change", [lambda d: d, lambda d: np.roll(d, 2, axis=1), lambda d: np.roll(d, -2, axis=2)])
def test_a_lone_picture_has_the_warnings_that_it_has_among_many(change):
    images = change(np.concatenate([DIGITS[:300], DIGITS[:50] // 2, INVERTED[:50], UNIT[:50], DIGITS[:1] * 0]))
    among_many = [{code for code, pictures in warned(images).items() if i in pictures} for i in range(len(images))]
    alone = [{*warned(image[None], many=False)} for image in images]
    assert alone == among_many


def test_a_lone_digit_in_its_frame_is_seen_by_a_few_sums(monkeypatch):
    looked_at = []
    monkeypatch.setattr(warnings, "_look", lambda images, _: looked_at.append(images) or [])
    for image in DIGITS[:300]:
        warned(image[None], many=False)
    assert len(looked_at) <= 10, "they took 0.1 ms of each answer that was not accepted"


@pytest.mark.parametrize(("images", "code"), [(INVERTED, "polarity"), (UNIT, "scale"), (DIGITS // 16, "scale")])
def test_digits_of_another_polarity_or_scale_are_warned_about(images, code):
    found = warned(images)
    assert len(found.pop(code)) >= 0.99 * len(images)
    assert sum(map(len, found.values())) <= 5


def test_inverted_digits_that_run_to_1_have_two_warnings():
    found = warned(1 - UNIT)
    assert {*found} == {"scale", "polarity"}
    assert len(found["scale"]) == len(found["polarity"]) == len(DIGITS)


def test_digits_in_another_place_or_size_are_not_centred():
    moved = np.roll(DIGITS, (3, -3), axis=(1, 2))
    small = np.pad(DIGITS[:, ::2, ::2], ((0, 0), (7, 7), (7, 7)))
    for images in (moved, small):
        found = warned(images)
        assert {*found} == {"not_centred"}
        assert len(found["not_centred"]) >= 0.99 * len(images)
    (warning,) = frame_warnings(answers(1), moved[:1], many=False)
    assert warning.message == (
        "the ink has its centre at row 17, column 11 and spans 20 x 19 pixels: send a digit with its centre at row 14, "
        f"column 14 and a longer side of 20 pixels, or {FILE}"
    )


def test_a_blank_picture_has_no_frame():
    assert warned(np.zeros((3, 28, 28), np.uint8)) == {}
    assert {*warned(np.full((3, 28, 28), 255, np.uint8))} == {"polarity"}


def test_pictures_with_accepted_answers_are_not_looked_at():
    assert frame_warnings(answers(1, ACCEPTED), None, many=False) == ()
    assert frame_warnings(answers(3, ACCEPTED), None, many=True) == ()
    images = np.concatenate([INVERTED[:2], DIGITS[:1], INVERTED[:2]])
    verdicts = [ACCEPTED, NOT_A_DIGIT, NOT_A_DIGIT, UNCERTAIN, ACCEPTED]
    (warning,) = frame_warnings(answers(5, verdicts), images, many=True)
    assert (warning.code, warning.pictures) == ("polarity", [1, 3])
    assert warning.message == (
        "2 pictures, the first is number 1: the border is full of ink, as if the strokes were dark on white: send 0 "
        f"for the background and full ink for the strokes, or {FILE}"
    )


def test_all_pictures_are_looked_at_where_the_card_has_no_limits():
    (warning,) = frame_warnings(answers(1, ACCEPTED, judged=False), UNIT[:1], many=False)
    assert (warning.code, warning.pictures) == ("scale", [0])
    assert warning.message == (
        "the most ink is 1 of 255, as if the numbers ran from 0 to 1: send numbers from 0 to 255, or say which one "
        'means full ink as "scale", for .npy as ?scale='
    )


def channels(*bands):
    """Pictures with several bytes for each pixel, as they are read: as more pictures."""
    return np.stack(np.broadcast_arrays(*bands), axis=-1).astype(np.uint8).reshape(-1, 28, 28)


@pytest.mark.parametrize("digits", [DIGITS[:1], DIGITS[:7]])
@pytest.mark.parametrize(
    ("bands", "name"),
    [
        (lambda d: (d, d, d, 255), "RGBA"),
        (lambda d: (255 - d, 255 - d, 255 - d, 255), "RGBA"),
        (lambda d: (d, d // 2, 0, 255), "RGBA"),
        (lambda d: (0, 0, 0, d), "RGBA"),
        (lambda d: (d, d, d), "RGB"),
        (lambda d: (d, 255), "grey and alpha"),
    ],
)
def test_pictures_with_several_bytes_for_each_pixel_are_seen(digits, bands, name):
    """3,136 bytes of RGBA were answered as four pictures, without a word."""
    images = channels(*bands(digits))
    (warning,) = frame_warnings(answers(len(images)), images, many=True)
    assert (warning.code, warning.pictures) == ("channels", [*range(len(images))])
    count = f"{len(digits)} picture{'s' if len(digits) > 1 else ''}"
    assert warning.message == (
        f"the body looks like {count} of 28 x 28 in {name} and is read as {len(images)} pictures: send one number for "
        f"each pixel, or {FILE}"
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 12])
def test_digits_and_their_negatives_are_not_taken_for_channels(rows):
    for images in (DIGITS, INVERTED):
        parts = [images[first : first + rows] for first in range(0, 240, rows)]
        assert not any("channels" in warned(part) for part in parts)


def test_the_header_has_the_codes():
    warnings = frame_warnings(answers(1), 1 - UNIT[:1], many=False)
    assert warning_headers(warnings) == [(b"x-warnings", b"scale, polarity")]
    assert warning_headers(()) == []
    assert {w.code for w in warnings} <= {*CODES}
