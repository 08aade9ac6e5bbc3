import jax
import numpy as np
import pytest

from training.convolution import MATMUL, NATIVE
from training.layers import Conv, Dense, Flatten, MaxPool, Reshape, count_weights, shapes
from training.models import MODELS
from training.network import abstract_params, forward, initialise

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("model", MODELS)
def test_the_weights_that_are_built_are_as_many_as_the_layers_say(model):
    params = initialise(MODELS[model], NATIVE, KEY)
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
        return jax.value_and_grad(lambda params: (forward(layers, form)(params, IMAGES) ** 2).sum())(params)

    native, matmul = loss(NATIVE), loss(MATMUL)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), native, matmul)


def test_every_layer_gives_the_shape_that_was_promised():
    layers = MODELS["lenet"]
    assert forward(layers, NATIVE)(initialise(layers, NATIVE, KEY), IMAGES).shape == (5, *shapes(layers)[-1])


def test_dropout_needs_a_key_and_follows_it():
    layers = MODELS["mlp"]
    network, params = forward(layers, NATIVE), initialise(layers, NATIVE, KEY)
    first, second = jax.random.split(KEY)
    plain = network(params, IMAGES)
    np.testing.assert_array_equal(plain, network(params, IMAGES))
    np.testing.assert_array_equal(
        network(params, IMAGES, dropout_key=first), network(params, IMAGES, dropout_key=first)
    )
    assert not np.array_equal(network(params, IMAGES, dropout_key=first), network(params, IMAGES, dropout_key=second))
    assert not np.array_equal(network(params, IMAGES, dropout_key=first), plain)
