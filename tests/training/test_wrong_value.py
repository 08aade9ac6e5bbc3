"""Errors in files that users write: the place, what was found, the choices, and the nearest of them."""

import tomllib

import msgspec
import pytest

from training.network.layers import LayerFile
from training.recipe import Recipe
from training.wrong_value import wrong_value

FIELDS = (
    "epochs, batch_size, optimizer, learning_rate, schedule, warmup_epochs, weight_decay, average, distortion, "
    "validation_images, seed, teacher"
)
KINDS = "conv, max_pool, dense, dropout, flatten, reshape"


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        (
            LayerFile,
            'layers = [{kind = "convv"}]',
            f"layers[0].kind is 'convv', want one of {KINDS}; did you mean conv?",
        ),
        (LayerFile, "layers = [{kind = 3}]", f"layers[0].kind is 3, want one of {KINDS}"),
        (LayerFile, "layers = [{features = 3}]", "the field kind is missing in layers[0]"),
        (LayerFile, "layers = [3]", "layers[0] is 3, want a table of fields"),
        (LayerFile, "layers = 3", "layers is 3, want a list"),
        (LayerFile, "layer = []", "there is no field layer, want one of layers; did you mean layers?"),
        (
            LayerFile,
            'layers = [{kind = "reshape", to = [1, 1, 1, 1, 1, 1, 1, 1, 1]}]',
            "layers[0].to, want a list of length <= 8",
        ),
        (
            LayerFile,
            'layers = [{kind = "conv", features = 3, kernal = 3}]',
            "there is no field kernal in layers[0], want one of features, kernel, stride, padding, activation; did you "
            "mean kernel?",
        ),
        (Recipe, "epochs = 1.5", "epochs is 1.5, want a whole number"),
        (Recipe, "learning_rate = nan", "learning_rate is nan, want a number > 0"),
        (Recipe, 'validation_images = "x"', "validation_images is 'x', want a whole number"),
        (Recipe, 'optimizer = "sdg"', "optimizer is 'sdg', want one of adam, adamw, sgd; did you mean sgd?"),
        (Recipe, "optimizer = 1", "optimizer is 1, want one of adam, adamw, sgd"),
        (Recipe, "distortion = 3", "distortion is 3, want a table of fields"),
        (
            Recipe,
            "[distortion]\nelastic = 1",
            "there is no field elastic in distortion, want one of elastic_px, smoothness_px, rotation_rad, scale, "
            "shear, shift_px; did you mean elastic_px?",
        ),
        (
            Recipe,
            "[teacher]\nlayers = []\nrecipe = {epoks = 3}",
            f"there is no field epoks in teacher.recipe, want one of {FIELDS}; did you mean epochs?",
        ),
    ],
)
def test_the_error_of_the_library_is_said_in_words(kind, content, words):
    """`Invalid value 'convv' - at `$.layers[0].kind`` was what users saw."""
    found = tomllib.loads(content)
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(found, kind)
    assert wrong_value(caught.value, found, kind) == words


def test_an_error_of_a_type_s_own_is_left_as_it_is():
    error = msgspec.ValidationError("the edges do not ascend - at `$.drift`")
    assert wrong_value(error, {}, Recipe) == "the edges do not ascend - at `$.drift`"
