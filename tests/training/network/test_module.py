"""The Flax module and its functional form: weights, logits, gradients, pooling and dropout."""

import jax
import numpy as np
import pytest

from training.network.convolution import HALF, MATMUL, NATIVE
from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool, Reshape, count_weights, shapes, with_dropout
from training.network.models import MODELS
from training.network.module import abstract_params, forward, forward_with_features, initialise

pytestmark = pytest.mark.as_served
KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def logits(layers, form, params, images=IMAGES, **options):
    """Compiled as one, as it is everywhere: operation by operation, each would be compiled for itself."""
    return jax.jit(forward(layers, form))(params, images, **options)


@pytest.mark.parametrize("model", MODELS)
def test_the_weights_that_are_built_are_as_many_as_the_layers_say(model):
    params = jax.eval_shape(lambda: initialise(MODELS[model], NATIVE, KEY))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count_weights(MODELS[model])


def test_a_checkpoint_names_weights_by_layer():
    assert list(abstract_params(MODELS["lenet"], NATIVE)) == ["conv_0", "conv_2", "dense_5", "dense_7"]


def test_the_abstract_weights_have_the_shapes_of_the_real_ones():
    def shapes_of(params):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params)

    layers = MODELS["lenet"]
    assert shapes_of(abstract_params(layers, NATIVE)) == shapes_of(initialise(layers, NATIVE, KEY))


@pytest.mark.parametrize(
    "layers",
    [
        MODELS["lenet"],
        (Conv(3, kernel=3, padding="same"), MaxPool(3), Flatten(), Dense(10)),
        (Conv(3, kernel=5, stride=2), Conv(2, kernel=3, stride=3, padding="same"), Flatten(), Dense(10)),
        (Reshape((14, 56, 1)), Conv(2, kernel=4, activation="tanh"), MaxPool(4), Flatten(), Dense(10)),
    ],
)
def test_both_forms_of_convolution_give_the_same_logits_and_gradients(layers):
    params = initialise(layers, NATIVE, KEY)

    def loss(form):
        return jax.jit(jax.value_and_grad(lambda params: (forward(layers, form)(params, IMAGES) ** 2).sum()))(params)

    native, matmul = loss(NATIVE), loss(MATMUL)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), native, matmul)


def test_max_pooling_gives_a_gradient_to_the_first_of_equal_values():
    layers = (Conv(1, kernel=1), MaxPool(2), Flatten(), Dense(10))
    params = initialise(layers, NATIVE, KEY)
    blank = np.zeros_like(IMAGES)

    def bias_gradient(form):
        gradient = jax.jit(jax.grad(lambda params: forward(layers, form)(params, blank).sum()))
        return gradient(params)["conv_0"]["bias"]

    np.testing.assert_allclose(bias_gradient(MATMUL), bias_gradient(NATIVE), rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh", None])
def test_pooling_before_or_after_an_activation_is_the_same(activation):
    """A layer that changes nothing keeps the network from pooling first."""
    first = Conv(4, kernel=5, activation=activation), MaxPool(2), Flatten(), Dense(10)
    after = Conv(4, kernel=5, activation=activation), Reshape((24, 24, 4)), MaxPool(2), Flatten(), Dense(10)
    params = initialise(first, NATIVE, KEY)
    renamed = {"conv_0": params["conv_0"], "dense_4": params["dense_3"]}
    np.testing.assert_allclose(logits(first, NATIVE, params), logits(after, NATIVE, renamed), rtol=1e-5, atol=1e-5)


def test_half_precision_is_computed_in_and_nothing_else():
    layers = MODELS["lenet"]
    params = initialise(layers, HALF, KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    exact, rounded = logits(layers, NATIVE, params), logits(layers, HALF, params)
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(exact, rounded, rtol=0.05, atol=0.05)


def test_every_layer_gives_the_shape_that_was_promised():
    layers = MODELS["lenet"]
    assert logits(layers, NATIVE, initialise(layers, NATIVE, KEY)).shape == (5, *shapes(layers)[-1])


def test_dropout_needs_a_key_and_follows_it():
    layers = with_dropout(MODELS["mlp"], 0.3)
    network, params = jax.jit(forward(layers, NATIVE)), initialise(layers, NATIVE, KEY)
    first, second = jax.random.split(KEY)
    plain = network(params, IMAGES)
    np.testing.assert_array_equal(plain, network(params, IMAGES))
    np.testing.assert_array_equal(
        network(params, IMAGES, dropout_key=first), network(params, IMAGES, dropout_key=first)
    )
    assert not np.array_equal(network(params, IMAGES, dropout_key=first), network(params, IMAGES, dropout_key=second))
    assert not np.array_equal(network(params, IMAGES, dropout_key=first), plain)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layers = (Flatten(), Dropout(0.3), Dense(10))
    params = {"dense_2": {"kernel": np.ones((784, 10), np.float32), "bias": np.zeros(10, np.float32)}}
    white = np.full((500, 28, 28), 255, np.uint8)
    sums = np.asarray(logits(layers, NATIVE, params, white, dropout_key=KEY))[:, 0]
    plain = np.asarray(logits(layers, NATIVE, params, white))[0, 0]
    assert sums.mean() == pytest.approx(plain, rel=0.005)
    # a sum of 784 values, each 1/0.7 with probability 0.7
    assert sums.std() == pytest.approx(plain * np.sqrt(0.3 / 0.7 / 784), rel=0.1)


def test_features_are_activations_before_a_dense_layer_or_the_picture_at_half_its_size():
    layers = (Conv(4, kernel=5, activation="relu"), MaxPool(4), Flatten(), Dense(10))
    params = initialise(layers, NATIVE, KEY)
    logits, features = forward_with_features(layers, NATIVE)(params, IMAGES)
    last = params["dense_3"]
    np.testing.assert_allclose(features @ last["kernel"] + last["bias"], logits, atol=1e-4)
    _, half = forward_with_features((Flatten(), Dense(10)), NATIVE)(
        initialise((Flatten(), Dense(10)), NATIVE, KEY), IMAGES
    )
    wanted = np.asarray(IMAGES).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255
    np.testing.assert_allclose(half, wanted, atol=1e-6)
