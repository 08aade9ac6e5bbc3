"""Pictures for outlier exposure: what they show, and that they are the same each time."""

import numpy as np
import pytest

from training.exposure import glyphs, pool, shapes, spoiled, strokes, textures
from training.photos.sources import ALIKE, LETTERS

FAMILIES = {
    "letters of a pen": lambda random: strokes.written(strokes.LETTERS, 1, random),
    "digits of a pen": lambda random: strokes.written(strokes.DIGITS, 1, random),
    "scribbles": lambda random: strokes.scribbles(20, random),
    "lines": lambda random: strokes.lines(20, random),
    "shapes": lambda random: shapes.shapes(20, random),
    "blocks": lambda random: shapes.blocks(20, random),
    "blots": lambda random: textures.blots(20, random),
    "smudges": lambda random: textures.smudges(20, random),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_drawing_is_prepared_as_digits_are(name):
    found = FAMILIES[name](np.random.default_rng(0))
    assert (found.dtype, found.shape[1:]) == (np.uint8, (28, 28))
    assert found.max(axis=(1, 2)).min() > 200
    ink = found.astype(np.float64)
    for axis in (1, 2):
        middle = (ink.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / ink.sum(axis=(1, 2))
        assert np.abs(middle - 14).mean() < 1.5
    assert len(np.unique(found, axis=0)) > 0.9 * len(found)


def test_a_glyph_is_drawn_in_the_fonts_that_have_it():
    assert len(glyphs.glyphs("AB", ("cmr10", "STIXGeneral"))) == 4
    assert len(glyphs.glyphs("Ж", ("cmr10", "STIXGeneral"))) == 1


def test_what_looks_like_a_digit_is_no_outlier():
    assert not set(ALIKE + glyphs.DIGITS) & set(LETTERS + glyphs.SIGNS)
    assert len(strokes.LETTERS) - 1 == len(LETTERS)  # two forms of J
    assert not set(spoiled.MIRRORED + spoiled.UPSIDE_DOWN + spoiled.ON_THE_SIDE) & {0, 1, 8}


def test_the_pool_is_the_same_for_the_same_digits(few_digits):
    images, labels = few_digits.images[:60], few_digits.labels[:60]
    first = pool.pool(images, labels)
    pool._drawings.cache_clear()
    assert all(np.array_equal(mine, its) for mine, its in zip(first, pool.pool(images, labels), strict=True))
    other = pool.pool(few_digits.images[60:120], few_digits.labels[60:120])
    assert not np.array_equal(first.outliers[-9:], other.outliers[-9:])


@pytest.mark.parametrize("apart", [-2, 0, 3])
def test_two_digits_are_as_far_apart_as_wanted_where_they_are_closest(few_digits, apart):
    for left, right in zip(few_digits.images[:40], few_digits.images[40:80], strict=True):
        both = spoiled._joined(left, right, apart)
        place = next(
            x for x in range(57) if np.array_equal(np.maximum(both[:, x : x + 28], right), both[:, x : x + 28])
        )
        ends, starts = (
            np.array([at + of(np.flatnonzero(row > spoiled.STROKE), initial=empty) for row in image])
            for image, at, of, empty in ((left, 14, np.max, -99), (right, place, np.min, 999))
        )
        assert (starts - ends).min() - 1 == apart
