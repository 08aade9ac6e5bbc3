"""The gallery: many digits on one picture."""

import numpy as np

from tests.support.digits import problem, some
from training.data.gallery import gallery


def test_a_gallery_shows_every_pixel_as_it_is() -> None:
    digits = some(4)
    page = gallery(digits, columns=2, zoom=2)
    # gap 6 and text 11: a cell is 56 + 6 wide and 56 + 13 + 9 high; the second tile starts at (68, 6)
    assert page.size == (2 * 62 + 6, 2 * 78 + 6)
    for index, (left, top) in enumerate([(6, 6), (68, 6), (6, 84), (68, 84)]):
        tile = np.asarray(page.convert("L"))[top : top + 56, left : left + 56]
        inside = tile[1::2, 1::2][2:-2, 2:-2]  # without the rounded corners
        assert np.array_equal(inside, digits.images[index][2:-2, 2:-2])


def test_a_gallery_grows_with_its_captions() -> None:
    assert gallery(some(1), ["4, not 9: 0.51"], zoom=1).width > gallery(some(1), zoom=1).width


def test_a_gallery_wants_one_caption_for_each_digit() -> None:
    assert problem(lambda: gallery(some(3), ["one"])) == "1 captions, want 3: one for each digit"
    assert problem(lambda: gallery(some(3), zoom=0)) == "columns is None, zoom is 0, want at least 1"
