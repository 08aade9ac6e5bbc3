"""Generated photos: by family and seed, of a photo's size, and with the digits that their text says."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from tests.photos.contact_sheet import CAPTION_PX, GAP_PX, ROW_PX, TILE_PX, contact_sheet
from training import mnist
from training.photos.families import FAMILIES, TEST_FAMILIES
from training.photos.family import photos

TRAIN = mnist.train()
DIGITS = TRAIN.take(np.arange(40))
FIVE = TRAIN.take([0])
SHORTEST_PX, LONGEST_PX = 600, 2200
ONE_DIGIT = [name for name, family in FAMILIES.items() if family.kind == "digit"]


def made(family, count=1, seed=0, digits=DIGITS):
    return list(photos(family, digits, count, seed))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_photo_has_the_size_of_a_photo_and_the_text_that_its_kind_has(name):
    family = FAMILIES[name]
    (photo,) = made(family)
    assert family.name == name
    assert photo.image.mode == "RGB"
    assert min(photo.image.size) >= SHORTEST_PX or name == "thumbnail"
    assert max(photo.image.size) <= LONGEST_PX
    fewest, most = {"digit": (1, 1), "digits": (2, 6), "outlier": (0, 0)}[family.kind]
    assert fewest <= len(photo.text) <= most
    assert photo.text == "" or photo.text.isdecimal()


@pytest.mark.parametrize("name", ["pen", "together", "cell_1.3", "numbers_rough", "letters", "photographs", "note"])
def test_photos_are_the_same_for_the_same_seed_however_many_there_are(name):
    family = FAMILIES[name]
    first, second = made(family, count=2)
    assert made(family) == [first]
    other = made(family, seed=1)[0]
    assert first.image.tobytes() not in {second.image.tobytes(), other.image.tobytes()}


def test_every_digit_is_shown_before_one_is_shown_again():
    few = DIGITS.take(np.arange(4))
    shown = [photo.text for photo in made(FAMILIES["jpeg"], 4, digits=few)]
    assert sorted(shown) == sorted(str(label) for label in few.labels)


def test_a_photo_shows_the_digit_that_its_text_names():
    """Only one digit is there to be drawn, a 5, whatever the family."""
    for name in ("small", "date", "cell_1.6", "dark_screenshot"):
        assert made(FAMILIES[name], digits=FIVE)[0].text == "5"
    assert set(made(FAMILIES["numbers"], digits=FIVE)[0].text) == {"5"}


def ink(photo):
    """Rows and columns of ink in a photo of a pen on white paper."""
    grey = np.asarray(photo.image.convert("L"), np.float32)
    return np.argwhere(grey < 0.6 * np.median(grey))


def test_digits_differ_in_place_and_size():
    marks = [ink(photo) for photo in made(FAMILIES["small"], 6, digits=FIVE)]
    middles = np.array([mark.mean(axis=0) for mark in marks])
    heights = np.array([np.ptp(mark[:, 0]) for mark in marks])
    assert (middles.std(axis=0) > 30).all()
    assert heights.max() > 1.2 * heights.min()


def test_a_digit_is_whole_on_the_page():
    for photo in made(FAMILIES["pen"], 6):
        mark = ink(photo)
        assert (mark.min(axis=0) > 5).all()
        assert (mark.max(axis=0) < np.array(photo.image.size[::-1]) - 5).all()


def test_digits_that_touch_are_one_connected_mark_and_others_are_not():
    ones = TRAIN.take(np.flatnonzero(TRAIN.labels == 1)[:5])
    parts = {
        name: [
            np.count_nonzero(
                np.bincount(ndimage.label(np.asarray(photo.image.convert("L")) < 120)[0].ravel())[1:] > 500
            )
            for photo in made(FAMILIES[name], 4, digits=ones)
        ]
        for name in ("pairs", "pairs_touching")
    }
    assert parts == {"pairs": [2] * 4, "pairs_touching": [1] * 4}


@pytest.mark.parametrize("name", ["blank_shadowed", "blank_crumpled", "blank_desk"])
def test_blank_paper_has_no_ink(name):
    """Even in a shadow paper is brighter than black ink is in the sun."""
    for photo in made(FAMILIES[name], 3):
        height, width = photo.image.height, photo.image.width
        middle = photo.image.convert("L").crop((width // 3, height // 3, 2 * width // 3, 2 * height // 3))
        assert np.percentile(np.asarray(middle), 0.1) > 35


def test_at_least_six_families_of_digits_are_held_out_for_the_last_measurement():
    assert len([name for name in ONE_DIGIT if FAMILIES[name].held_out]) >= 6


def test_what_is_no_digit_comes_from_other_sources_for_figures():
    drawn = ("letters", "signs", "scribbles", "shapes", "faces", "blots", "codes", "photographs")
    for name in drawn:
        mine, its = made(FAMILIES[name], 3), made(TEST_FAMILIES[name], 3)  # photographs are textures now and then
        assert [photo.image.tobytes() for photo in mine] != [photo.image.tobytes() for photo in its]
    assert list(FAMILIES) == list(TEST_FAMILIES)


def test_a_contact_sheet_has_a_row_for_each_family_and_a_column_for_each_photo():
    sheet = contact_sheet([FAMILIES["pen"], FAMILIES["date"]], DIGITS, count=2)
    grey = np.asarray(sheet.convert("L"))
    for row, column in itertools.product(range(2), range(2)):
        top, left = row * ROW_PX + GAP_PX, CAPTION_PX + column * (TILE_PX + GAP_PX)
        assert (grey[top : top + 100, left : left + 100] != grey[-1, -1]).mean() > 0.9
    assert sheet.size == (CAPTION_PX + 2 * (TILE_PX + GAP_PX), 2 * ROW_PX)


def test_low_light_is_dark_and_a_vignette_is_dark_in_the_corners_alone():
    def levels(name):
        grey = np.asarray(made(FAMILIES[name])[0].image.convert("L"), np.float32)
        corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
        return corners, np.median(grey)

    (pen, paper), (corner, middle), (_, dark) = (levels(name) for name in ("pen", "vignette", "low_light"))
    assert dark < 110 < paper
    assert corner < 0.6 * middle
    assert pen > 0.7 * paper


def test_digits_whose_loops_are_filled_are_left_out_unless_there_are_no_others():
    some = mnist.train().take(np.arange(12))
    filled = some.images[[1]]  # a 0
    filled[0, 6:22, 8:20] = 255
    blots = type(some)(np.concatenate([filled, some.images[:1]]), np.concatenate([some.labels[[1]], some.labels[:1]]))
    assert {photo.text for photo in photos(FAMILIES["thumbnail"], blots, 6, 0)} == {str(some.labels[0])}
    assert {photo.text for photo in photos(FAMILIES["thumbnail"], blots.take(np.arange(1)), 2, 0)} == {"0"}
