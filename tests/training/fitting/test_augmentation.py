"""Augmentation: shifts, rotations and elastic distortions of the training images."""

import jax
import numpy as np
import pytest

from training.fitting import augmentation as augment
from training.fitting.augmentation import distort
from training.recipe import Distortion

pytestmark = pytest.mark.as_served
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images(few_digits):
    return few_digits.images[:1000]


def distorted(images, key=KEY, **amounts) -> np.ndarray:
    return np.asarray(jax.jit(lambda x, k: distort(x, k, Distortion(**amounts)))(images, key))


def centre_of_mass(images) -> np.ndarray:
    """Rows and columns [2, n]."""
    ink = images.astype(float)
    places = np.arange(28)
    mass = ink.sum(axis=(1, 2))
    return np.stack([(ink.sum(axis=2) * places).sum(axis=1) / mass, (ink.sum(axis=1) * places).sum(axis=1) / mass])


def test_no_distortion_changes_nothing(images):
    np.testing.assert_array_equal(distorted(images), images)


def test_every_picture_is_distorted_in_a_way_of_its_own_and_the_key_decides(images):
    seven = np.repeat(images[:1], 50, axis=0)
    copies = distorted(seven, elastic_px=1.0)
    assert len({copy.tobytes() for copy in copies}) == 50
    np.testing.assert_array_equal(copies, distorted(seven, elastic_px=1.0))
    assert not np.array_equal(copies, distorted(seven, key=jax.random.key(1), elastic_px=1.0))


def test_a_shift_moves_the_ink_by_at_most_the_shift_and_loses_next_to_none(images):
    moved = distorted(images, shift_px=2.0)
    by = centre_of_mass(moved) - centre_of_mass(images)
    assert np.abs(by).max() < 2.1
    assert np.abs(by).max() > 1.8
    assert by.std(axis=1) == pytest.approx(2 / np.sqrt(3), rel=0.1)
    assert moved.sum() == pytest.approx(images.sum(), rel=0.01)


def test_a_whole_shift_is_exact():
    """The displacement points to where the ink is taken from, along rows (axis 1) and columns (axis 0)."""
    picture = np.zeros((28, 28, 1), np.float32)
    picture[10, 20] = 255
    along_rows = augment._resampled(picture, np.full((28, 28, 1), 3.0), axis=1)
    along_columns = augment._resampled(picture, np.full((28, 28, 1), -4.0), axis=0)
    assert np.argwhere(np.asarray(along_rows)).tolist() == [[10, 17, 0]]
    assert np.argwhere(np.asarray(along_columns)).tolist() == [[14, 20, 0]]


def test_half_a_pixel_is_interpolated_linearly():
    picture = np.zeros((28, 28, 1), np.float32)
    picture[10, 20] = 200
    half = np.asarray(augment._resampled(picture, np.full((28, 28, 1), 0.25), axis=1))
    assert (half[10, 19, 0], half[10, 20, 0]) == pytest.approx((50, 150))


def test_the_elastic_field_has_the_strength_and_the_smoothness_it_says():
    field = np.asarray(
        augment._elastic(augment.chances(KEY, 4000).normal, Distortion(elastic_px=1.5, smoothness_px=4.0))
    )  # [2, 28, 28, n]
    assert field[:, 14, 14].std() == pytest.approx(1.5, rel=0.05)
    assert abs(field.mean()) < 0.02
    here, there = field[0, 14, 12], field[0, 14, 16]
    # white noise smoothed with sigma has the correlation exp(-d^2 / 4 sigma^2) at distance d
    assert np.corrcoef(here, there)[0, 1] == pytest.approx(np.exp(-16 / 64), abs=0.03)
    assert abs(np.corrcoef(field[0, 14, 14], field[1, 14, 14])[0, 1]) < 0.05, "rows and columns are independent"


def test_a_rotation_turns_about_the_centre():
    field = np.asarray(augment._affine(augment.chances(KEY, 500).uniform, Distortion(rotation_rad=0.2)))
    assert np.abs(field[:, 13:15, 13:15]).max() < 0.15
    dx, dy = field
    angle = dy[14, 27] / 13.5
    assert angle.max() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_allclose(dx[27, 14], -dy[14, 27], atol=0.02)


def test_ink_never_leaves_its_range(images):
    strong = distorted(images, elastic_px=3.0, rotation_rad=0.5, scale=0.3, shear=0.3, shift_px=4.0)
    assert strong.dtype == np.uint8
    assert strong.shape == images.shape
    assert strong.max() <= 255
