"""Which parts of ink make a digit: dots belong to it; dirt, captions, lines and what is far from it do not."""

import numpy as np
import pytest

from training.picture.parts import Parts


def parts_of(*dots):
    """A stroke of 12 x 100 pixels, part 0, and discs at (y, x), each with a radius and a darkness."""
    y, x = np.mgrid[:200, :200]
    dark = np.where((abs(y - 80) <= 50) & (abs(x - 100) < 6), 0.8, 0.0)
    for (row, column), radius, level in dots:
        dark[np.hypot(y - row, x - column) <= radius] = level
    return Parts.of(dark > 0, dark.astype(np.float32))


@pytest.mark.parametrize("place", [(157, 100), (80, 130), (100, 72)])
def test_a_dot_as_dark_and_as_wide_as_the_strokes_belongs_to_them(place):
    assert parts_of((place, 4.5, 0.8)).group(0) == [0, 1]


@pytest.mark.parametrize(
    "dirt", [((140, 100), 2.0, 0.8), ((140, 100), 4.5, 0.3), ((175, 100), 4.5, 0.8), ((197, 100), 4.5, 0.8)]
)
def test_what_is_finer_fainter_farther_or_at_the_edge_does_not(dirt):
    assert parts_of(dirt).group(0) == [0]


def test_a_printed_line_of_letters_does_not_either_and_two_parts_are_no_line():
    letters = [((145, column), 6.0, 0.8) for column in (85, 100, 115, 130)]
    assert parts_of(*letters).group(0) == [0]
    assert len(parts_of(*letters[:2]).group(0)) == 3


def with_bar(rows, columns):
    """A stroke of 12 x 100 pixels and a bar."""
    dark = np.zeros((200, 200), np.float32)
    dark[30:130, 94:106] = 0.8
    dark[slice(*rows), slice(*columns)] = 0.8
    parts = Parts.of(dark > 0, dark)
    return [parts.group(part) for part in range(len(parts))]


@pytest.mark.parametrize("rows", [(135, 145), (15, 25)])
@pytest.mark.parametrize("columns", [(80, 120), (90, 180)])
def test_a_line_below_or_above_is_no_part_of_it(rows, columns):
    assert with_bar(rows, columns) == [[0], [1]]


def test_the_upper_stroke_of_a_five_is():
    _, of_stroke = with_bar((15, 25), (95, 140))
    assert of_stroke == [1, 0]
