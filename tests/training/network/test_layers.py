"""Layer lists: shapes and numbers of weights, reading them from files, and refusal of lists that are no network."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.network.layers import (
    Conv,
    Dense,
    Dropout,
    Flatten,
    LayerError,
    LayerFile,
    MaxPool,
    Reshape,
    count_features,
    count_weights,
    feature_place,
    shapes,
    with_dropout,
)
from training.network.models import MODELS


@pytest.mark.parametrize(("model", "weights"), [("mlp", 159_010), ("mlp_deep", 545_810), ("lenet", 91_190)])
def test_a_network_has_exactly_the_weights_of_the_product_page(model, weights):
    assert count_weights(MODELS[model]) == weights


def test_lenet_goes_through_these_shapes():
    after_convolutions = [(24, 24, 32), (12, 12, 32), (10, 10, 32), (5, 5, 32)]
    assert [shape for shape in shapes(MODELS["lenet"]) if len(shape) == 3] == after_convolutions
    assert shapes(MODELS["lenet"])[4:] == [(800,), (100,), (100,), (10,)]


def test_same_padding_keeps_the_sides_and_a_stride_divides_them():
    layers = (Conv(4, kernel=3, padding="same"), Conv(4, kernel=3, stride=2), Flatten(), Dense(10))
    assert shapes(layers)[:2] == [(28, 28, 4), (13, 13, 4)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "the network has no layers, wants at least one"),
        ((Dense(10),), "layers[0] (dense) gets [n, 28, 28, 1], wants one axis: put a flatten layer before it"),
        ((Flatten(), MaxPool(2)), "layers[1] (max_pool) gets [n, 784], wants three axes [height, width, channels]"),
        (
            (Conv(8, kernel=5), MaxPool(8), Conv(8, kernel=5)),
            "layers[2] (conv) has a 5 x 5 window, larger than the 3 pixels it gets",
        ),
        (
            (Flatten(), Dense(7)),
            "layers[1] (dense) gives [n, 7], the last layer must give [n, 10]: one logit a digit",
        ),
        ((Flatten(),) * 100_000, "the network has 100,000 layers, want at most 200"),
        (
            (Conv(2000, kernel=1), Flatten(), Dense(10)),
            "layers[0] (conv) gives [n, 28, 28, 2000], 1,568,000 values of an image, want at most 1,000,000",
        ),
        (
            (Flatten(), Dense(100_000), Dense(10_000), Dense(10)),
            "the network has 1,078,610,010 weights, want at most 200,000,000",
        ),
        (
            (Flatten(), Reshape((27, 29, 1))),
            "layers[1] (reshape) gets [n, 784], 784 values, wants 783 for [n, 27, 29, 1]",
        ),
    ],
)
def test_a_list_that_is_no_network_is_refused_naming_the_layer(layers, message):
    with pytest.raises(LayerError) as refusal:
        shapes(layers)
    assert str(refusal.value) == message


TOML = """
[[layers]]
kind = "conv"
features = 8
kernel = 3
activation = "relu"

[[layers]]
kind = "flatten"

[[layers]]
kind = "dense"
features = 10
"""


def test_a_list_is_read_from_toml_and_from_json(tmp_path):
    (tmp_path / "net.toml").write_text(TOML)
    layers = LayerFile.read(tmp_path / "net.toml").layers
    assert layers == (Conv(8, kernel=3, activation="relu"), Flatten(), Dense(10))
    (tmp_path / "net.json").write_bytes(msgspec.json.encode(LayerFile(layers)))
    assert LayerFile.read(tmp_path / "net.json").layers == layers


KINDS = "conv, max_pool, dense, dropout, flatten, reshape"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("features = 8", 'features = "8"', "layers[0].features is '8', want a whole number"),
        ("features = 8", "features = 0", "layers[0].features is 0, want a whole number >= 1"),
        ("kernel = 3", "", "the field kernel is missing in layers[0]"),
        (
            "kernel = 3",
            "kernel = 3\ncolour = 1",
            "there is no field colour in layers[0], want one of features, kernel, stride, padding, activation",
        ),
        ('"flatten"', '"flaten"', f"layers[1].kind is 'flaten', want one of {KINDS}; did you mean flatten?"),
        ('"flatten"', '"input"', f"layers[1].kind is 'input', want one of {KINDS}"),
        (
            '"relu"',
            '"rely"',
            "layers[0].activation is 'rely', want one of gelu, relu, silu, tanh; did you mean relu?",
        ),
        ('kind = "flatten"', 'kind = "dropout"\nrate = 1.0', "layers[1].rate is 1.0, want a number < 1"),
        (
            "features = 10",
            "features = 9",
            "layers[2] (dense) gives [n, 9], the last layer must give [n, 10]: one logit a digit",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_place(tmp_path, old, new, message):
    path = tmp_path / "net.toml"
    path.write_text(TOML.replace(old, new, 1))
    with pytest.raises(LayerError) as refusal:
        LayerFile.read(path)
    assert str(refusal.value) == f"{path}: {message}"


def test_a_missing_file_and_a_wrong_kind_of_file_are_refused_by_name(tmp_path):
    with pytest.raises(LayerError, match=r"no\.toml does not exist"):
        LayerFile.read(tmp_path / "no.toml")
    with pytest.raises(LayerError, match=r"net\.py is no list of layers: want a \.toml or a \.json file"):
        LayerFile.read(tmp_path / "net.py")


def test_dropout_can_be_set_where_there_is_some():
    assert Dropout(0.45) in with_dropout(MODELS["mlp"], 0.45)
    with pytest.raises(LayerError, match="no dropout layer"):
        with_dropout((Flatten(), Dense(10)), 0.45)


hidden = st.one_of(
    st.builds(Conv, features=st.integers(1, 4), kernel=st.integers(1, 5), padding=st.sampled_from(["valid", "same"])),
    st.builds(MaxPool, size=st.integers(1, 4)),
    st.builds(Dropout, rate=st.floats(0, 0.9)),
)


@given(st.lists(hidden, max_size=5))
def test_any_list_survives_a_file_unchanged(layers):
    file = LayerFile((*layers, Flatten(), Dense(10)))
    assert msgspec.json.decode(msgspec.json.encode(file), type=LayerFile) == file


def test_features_are_what_the_first_dense_layer_behind_another_reads():
    features = {model: (feature_place(layers), count_features(layers)) for model, layers in MODELS.items()}
    assert features == {"mlp": (3, 200), "mlp_deep": (3, 500), "lenet": (5, 800)}


@pytest.mark.parametrize("before", [(), (Conv(16, kernel=5), MaxPool(2))])
def test_without_such_a_layer_or_with_too_many_values_they_are_the_picture_at_half_its_size(before):
    layers = (*before, Flatten(), Dense(10))
    assert (feature_place(layers), count_features(layers)) == (None, 14 * 14)
