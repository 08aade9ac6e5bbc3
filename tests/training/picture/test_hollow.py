"""The rim of an area whose inside is taken for paper is not clear; a drawn ring and broad digits are."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.support.pictures import large
from training.picture import NoInk, find_line

ROWS = (0, 1, 2, 3, 4, 7, 8)
SIDE = 640


def photo(ink, *, shadow=1.0, seed=0):
    """Grey levels of a drawing in ink on paper; its right half is in a shadow that leaves so much light."""
    light = np.where(np.arange(SIDE) < SIDE / 2, 210, 210 * shadow)
    seen = light * (1 - 0.8 * np.asarray(ink, np.float32) / 255)
    return np.clip(seen + np.random.default_rng(seed).normal(0, 2, seen.shape), 0, 255).astype(np.float32)


def disc(width=None, radius=SIDE * 0.32):
    page = Image.new("L", (SIDE, SIDE))
    box = [SIDE / 2 - radius, SIDE / 2 - radius, SIDE / 2 + radius, SIDE / 2 + radius]
    ImageDraw.Draw(page).ellipse(box, fill=None if width else 255, outline=255, width=width or 1)
    return page


def hexagon():
    page = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(page).regular_polygon((SIDE / 2, SIDE / 2, SIDE * 0.3), 6, rotation=15, fill=255)
    return page


def clear(grey):
    """Whether a digit is found that may be accepted."""
    try:
        return find_line(grey).clear
    except NoInk:
        return False


@pytest.mark.parametrize("shadow", [1.0, 0.5])
@pytest.mark.parametrize("area", [disc(), disc(radius=SIDE * 0.25), hexagon()], ids=["disc", "smaller", "hexagon"])
def test_the_rim_of_an_area_is_not_clear(area, shadow):
    assert not clear(photo(area, shadow=shadow))
    assert not clear(255 - photo(area, shadow=shadow))


@pytest.mark.parametrize("width", [30, 80])
def test_a_ring_is_clear(width):
    assert clear(photo(disc(width)))


@pytest.mark.parametrize("shadow", [1.0, 0.6])
@pytest.mark.parametrize("row", ROWS)
def test_digits_are_clear_in_light_and_in_shadow(row, shadow):
    page = Image.new("L", (SIDE, SIDE))
    page.paste(large(row, 14, 0, how=Image.Resampling.BICUBIC), (124, 124))
    assert clear(photo(page, shadow=shadow, seed=row))


@pytest.mark.parametrize("row", [0, 2, 7, 8, 10])
def test_a_broad_digit_is_preferred_to_dark_corners_around_it(row):
    page = Image.new("L", (SIDE, SIDE))
    page.paste(large(row, 20, 0, how=Image.Resampling.BICUBIC), (40, 40))
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = 1 - 0.8 * np.minimum((x * x + y * y) / 1.5, 1)
    assert clear((light * photo(page.filter(ImageFilter.MaxFilter(31)))).astype(np.float32))
