"""A digit that glare has bleached in part is not clear enough to be accepted; bright paper alone does not matter."""

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import large
from training.picture import find_line

ROWS = (0, 1, 2, 4, 7, 8)


def photo(row, *, paper=180.0, glare=0.0, place=(290, 290)):
    """Grey levels of a marker's digit on a board; a lamp is reflected at a place, of some brightness."""
    ink = np.zeros((480, 480), np.float32)
    ink[100:380, 100:380] = np.asarray(large(row, 10, 0, how=Image.Resampling.BICUBIC), np.float32) / 255
    y, x = np.mgrid[:480, :480]
    lamp = glare / (1 + np.exp((np.hypot(y - place[0], x - place[1]) - 90) / 40))
    seen = paper * (1 - 0.75 * ink) + lamp + np.random.default_rng(row).normal(0, 2, ink.shape)
    return np.clip(seen, 0, 255).astype(np.float32)


@pytest.mark.parametrize("row", ROWS)
def test_ink_that_fades_under_glare_makes_a_picture_unclear(row):
    there = np.argwhere(np.asarray(large(row, 10, 0)) > 128)
    place = there[np.argmax(there @ [1, 1])] + 100  # its lower right end
    assert find_line(photo(row, paper=120)).clear
    assert not find_line(photo(row, paper=120, glare=220, place=place)).clear


@pytest.mark.parametrize("row", ROWS)
def test_a_lamp_beside_the_digit_and_white_paper_leave_it_clear(row):
    assert find_line(photo(row, glare=220, place=(30, 30))).clear
    assert find_line(photo(row, paper=254)).clear


def test_glare_takes_no_light_from_chalk():
    board = 255 - photo(0)
    assert find_line(board).clear


@pytest.mark.parametrize("row", ROWS)
def test_soft_strokes_on_paper_that_turns_white_to_one_side_are_clear(row):
    ink = np.pad(np.asarray(large(row, 10, 0, how=Image.Resampling.BICUBIC), np.float32) / 255, 60)
    light = np.linspace(180, 280, ink.shape[1])
    assert find_line(np.clip(light * (1 - 0.76 * ink), 0, 255).astype(np.float32)).clear
