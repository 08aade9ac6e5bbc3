"""Ruled lines, boxes and frames are told from strokes by their length and width."""

import numpy as np
import pytest

from training.picture.lines import long_lines, run_lengths


def stroke(mask, width=12):
    """A slanting stroke of a pen across the middle."""
    for row in range(60, 200):
        start = 140 - row // 3
        mask[row, start : start + width] = True
    return mask


def test_a_run_is_as_long_as_the_pixels_beside_each_other():
    row = np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0]], bool)
    assert run_lengths(row).tolist() == [[2, 2, 0, 1, 0, 0, 3, 3, 3], [0] * 9]


@pytest.mark.parametrize("slope", [0, 0.03, -0.05])
@pytest.mark.parametrize("upright", [False, True])
def test_a_ruled_line_is_found_also_where_it_slants_and_the_stroke_across_it_is_not(slope, upright):
    mask = stroke(np.zeros((256, 256), bool))
    line = np.zeros_like(mask)
    for column in range(256):
        row = round(130 + slope * (column - 128))
        line[row : row + 3, column] = True
    seen = (mask.T if upright else mask) | (line.T if upright else line)
    found = long_lines(seen)
    found = found.T if upright else found
    assert found[line & ~mask].mean() > 0.95
    assert not found[mask & ~line].any()
    assert found[mask & line].mean() < 0.3


def test_a_stroke_alone_is_no_line():
    assert not long_lines(stroke(np.zeros((256, 256), bool))).any()


def test_a_bar_as_thick_as_a_stroke_is_no_line():
    mask = np.zeros((256, 256), bool)
    mask[100:112, 20:236] = True
    assert not long_lines(mask).any()
