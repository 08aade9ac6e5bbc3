"""Several digits in a picture are cut into pieces, and the cheapest pieces are read from left to right."""

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import written
from training.picture import NoInk, find_line, levels, prepare
from training.picture.line import Box, Line, Piece


def line_of(picture, **options):
    return find_line(levels(picture), **options)


def test_a_narrow_digit_is_one_piece_and_a_wide_one_also_has_cuts():
    narrow, wide = line_of(written(3)), line_of(written(0))
    assert (len(narrow.pieces), narrow.beside, narrow.whole) == (1, 0, 0)
    assert len(wide.pieces) > 1
    assert np.array_equal(wide.pieces[wide.whole].image, prepare(written(0)))
    assert wide.images.shape == (len(wide.pieces), 28, 28)


@pytest.mark.parametrize("rows", [(1, 2), (7, 8, 9), (3, 5, 13, 15)])
def test_digits_that_are_apart_are_groups_from_left_to_right(rows):
    line = line_of(written(*rows))
    assert line.beside == len(rows) - 1
    lefts = [min(piece.box[0] for piece in line.pieces if piece.group == group) for group in range(len(rows))]
    assert lefts == sorted(lefts)
    alone = line_of(written(*rows), alone=True)
    assert {piece.group for piece in alone.pieces} == {alone.best}


def test_boxes_are_shares_of_the_picture():
    for left, top, width, height in (piece.box for piece in line_of(written(1, 2)).pieces):
        assert 0 < left < left + width < 1
        assert 0 < top < top + height < 1


def piece(group, first, last):
    return Piece(group, first, last, Box(0.0, 0.0, 1.0, 1.0), 1.0, np.zeros((28, 28), np.uint8))


def test_of_all_ways_to_cut_a_group_the_cheapest_is_taken():
    pieces = [piece(0, 0, 2), piece(0, 0, 1), piece(0, 1, 2), piece(1, 0, 1)]
    line = Line(pieces, 0, True, 1)
    assert line.whole == 0
    assert line.digits([1.0, 0.6, 0.6, 9.0]) == [0, 3]
    assert line.digits([1.0, 0.4, 0.4, 9.0]) == [1, 2, 3]


def test_a_blank_picture_has_no_line():
    with pytest.raises(NoInk):
        line_of(Image.new("L", (300, 200), 200))
