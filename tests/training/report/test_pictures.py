"""Pictures of the report: filters of the first layer, and strips of digits."""

import numpy as np

from tests.support.report import png
from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool
from training.network.models import MODELS
from training.report import pictures


def test_filters_lie_as_they_lie_on_the_picture():
    kernel = np.zeros((5, 5, 1, 32), np.float32)
    kernel[1, 4, 0, 7] = 1
    found = pictures.first_filters(MODELS["lenet"], {"conv_0": {"kernel": kernel}})
    assert found.shape == (32, 5, 5)
    assert np.argwhere(found).tolist() == [[7, 1, 4]]

    kernel = np.zeros((784, 200), np.float32)
    kernel[28 * 3 + 9, 5] = 1
    found = pictures.first_filters(MODELS["mlp"], {"dense_1": {"kernel": kernel}})
    assert found.shape == (200, 28, 28)
    assert np.argwhere(found).tolist() == [[5, 3, 9]]


def test_a_first_layer_that_does_not_see_the_picture_has_no_filters():
    layers = (MaxPool(2), Flatten(), Dropout(0.1), Dense(10))
    assert pictures.first_filters(layers, {"dense_3": {"kernel": np.zeros((196, 10))}}) is None
    assert (
        pictures.first_filters(
            (Conv(3, kernel=3), Flatten(), Dense(10)), {"conv_0": {"kernel": np.zeros((3, 3, 1, 3))}}
        )
        is not None
    )


def test_filters_are_orange_for_ink_and_blue_against_it_and_clear_where_it_does_not_matter():
    sheet = np.asarray(png(pictures.filters(np.array([[[1.0, 0.0, -1.0]]], np.float32))))
    third = sheet.shape[1] // 3
    assert sheet[0, 0].tolist() == [*pictures.FOR, 255]
    assert sheet[0, third, 3] == 0
    assert sheet[0, -1].tolist() == [*pictures.AGAINST, 255]


def test_the_strongest_filters_keep_their_order():
    kernels = np.arange(5, dtype=np.float32)[[3, 0, 4, 1, 2], None, None] * np.ones((5, 2, 2), np.float32)
    assert pictures.strongest(kernels, 3)[:, 0, 0].tolist() == [3, 4, 2]


def test_digits_in_a_strip_are_unsmoothed_with_clear_gaps(few_digits):
    strip = np.asarray(png(pictures.strip(few_digits.images[:3])))
    assert strip.shape == (84, 3 * 84 + 2 * 6, 2)
    for place in range(3):
        tile = strip[:, place * 90 : place * 90 + 84]
        assert np.array_equal(tile[..., 0], few_digits.images[place].repeat(3, axis=0).repeat(3, axis=1))
        assert (tile[..., 1] == 255).all()
    assert (strip[:, 84:90, 1] == 0).all()
