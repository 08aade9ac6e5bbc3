"""The skeleton of strokes: one pixel wide, connected as they are."""

import numpy as np
from scipy import ndimage

from training import mnist
from training.photos.drawing import GRID, of_digit
from training.photos.skeleton import skeleton

EIGHT = np.ones((3, 3))


def test_a_bar_becomes_the_line_in_its_middle():
    bar = np.zeros((11, 40), bool)
    bar[3:8, 4:36] = True
    lines = skeleton(bar)
    assert set(np.argwhere(lines)[:, 0]) == {5}
    assert 26 <= lines.sum() <= 32


def test_a_ring_stays_a_ring():
    y, x = np.mgrid[:60, :60] - 30
    lines = skeleton(np.abs(np.hypot(y, x) - 18) < 5)
    assert ndimage.label(~lines)[1] == 2
    assert np.abs(np.hypot(*(np.argwhere(lines) - 30).T) - 18).max() < 2


def test_digits_stay_as_many_parts_as_they_are():
    for image in mnist.train().images[:20]:
        strokes = of_digit(image) > 0.4
        assert strokes.shape == (GRID, GRID)
        lines = skeleton(strokes)
        assert ndimage.label(lines, EIGHT)[1] == ndimage.label(strokes, EIGHT)[1]
        assert lines.sum() < strokes.sum() / 3
