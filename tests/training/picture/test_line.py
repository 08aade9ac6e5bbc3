"""Several digits in a picture are cut into pieces, and the cheapest pieces are read from left to right."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.support.pictures import written
from training.picture import NoInk, find_line, levels, prepare
from training.picture.line import Box, Line, Piece
from training.picture.parts import Parts


def line_of(picture, **options):
    return find_line(levels(picture), **options)


def test_a_narrow_digit_is_one_piece_and_a_wide_one_also_has_cuts():
    narrow, wide = line_of(written(3)), line_of(written(0))
    assert (len(narrow.pieces), narrow.beside, narrow.whole) == (1, 0, 0)
    assert len(wide.pieces) > 1
    assert np.array_equal(wide.image, prepare(written(0)))
    assert wide.images.shape == (len(wide.pieces), 28, 28)


@pytest.mark.parametrize("rows", [(1, 2), (7, 8, 9), (3, 5, 13, 15)])
def test_digits_that_are_apart_are_groups_from_left_to_right(rows):
    line = line_of(written(*rows))
    assert line.beside == len(rows) - 1
    lefts = [min(piece.box[0] for piece in line.pieces if piece.group == group) for group in range(len(rows))]
    assert lefts == sorted(lefts)
    alone = line_of(written(*rows), alone=True)
    assert {piece.group for piece in alone.pieces} == {alone.best}


def test_a_line_may_be_long():
    assert line_of(written(*range(40)), alone=True).beside == 39


def test_boxes_are_shares_of_the_picture():
    for left, top, width, height in (piece.box for piece in line_of(written(1, 2)).pieces):
        assert 0 < left < left + width < 1
        assert 0 < top < top + height < 1


def test_the_box_of_a_piece_ends_at_its_cut():
    """It once was off by up to three pixels: the soft outline beside the strip was forgotten."""
    picture = Image.new("L", (240, 240), 255)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 50, 47, 190), fill=0)
    draw.line([(47, 120), (100, 120), (100, 54), (200, 54), (200, 186), (100, 186), (100, 120)], fill=0, width=9)
    draw.rectangle((60, 100, 64, 118), fill=255)  # the line is thinnest around column 62
    ends = [240 * (piece.box.left + piece.box.width) for piece in line_of(picture).pieces if piece.first == 0]
    assert min(ends) == pytest.approx(62, abs=1)


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


def above(upper, lower, noise=0.0):
    """Two lines of digits, one above the other."""
    lines = [np.asarray(written(*rows)) for rows in (upper, lower)]
    width = max(line.shape[1] for line in lines)
    page = np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=255) for line in lines])
    page = page - 15 + np.random.default_rng(0).normal(0, noise, page.shape)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


def by_two_pens(broader, finer, darkness):
    """Two digits on paper: the left one by a pen so many pixels broader, the right one by a finer one, less dark."""
    left = np.asarray(written(1).filter(ImageFilter.MinFilter(broader)), np.float32)
    right = 255 - darkness * (255 - np.asarray(written(2).filter(ImageFilter.MaxFilter(finer)), np.float32))
    page = 0.85 * np.concatenate([left, right], axis=1)
    return Image.fromarray(np.clip(page + np.random.default_rng(1).normal(0, 3, page.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("broader", "finer", "darkness"), [(1, 1, 1.0), (1, 1, 0.5), (9, 1, 0.6), (13, 5, 1.0), (13, 7, 1.0)]
)
def test_a_digit_by_another_pen_beside_it_makes_the_picture_unclear(broader, finer, darkness):
    line = line_of(by_two_pens(broader, finer, darkness))
    assert line.beside or not line.clear


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_digits_above_and_below_are_counted_but_are_not_on_the_line(noise):
    line = line_of(above((1,), (2,), noise))
    assert (line.beside, line.elsewhere) == (0, 1)
    line = line_of(above((1, 2), (7, 8, 9), noise))
    assert line.beside + 1 + line.elsewhere == 5
    assert line.elsewhere in {2, 3}
    assert line_of(written(1, 2)).elsewhere == 0


def test_noise_of_thousands_of_parts_takes_little_memory_and_few_groups(monkeypatch):
    """A matrix of all parts by all parts would have 100 MB, and there would be a group for each of them."""
    grouped = []
    group = Parts.group
    monkeypatch.setattr(Parts, "group", lambda parts, seed: grouped.append(len(parts)) or group(parts, seed))
    noise = np.random.default_rng(1).normal(243, 3, (256, 256)).clip(0, 255).astype(np.uint8)
    tracemalloc.start()
    with contextlib.suppress(NoInk):
        line_of(Image.fromarray(noise))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(grouped) > 2000
    assert len(grouped) < 250
    assert peak < 40e6
