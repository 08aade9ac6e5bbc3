"""A list of layers as a Flax NNX module, and as a pure function of weights and images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from training.images import normalise
from training.network.layers import (
    INPUT,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    Layers,
    MaxPool,
    Reshape,
    feature_place,
    kind,
    shapes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.network.convolution import Form

Params = dict[str, dict[str, jax.Array]]
"""Weights by layer and then by name, `{"conv_0": {"kernel": …, "bias": …}, …}`: the tree that a checkpoint holds."""

ACTIVATIONS = {"relu": jax.nn.relu, "gelu": jax.nn.gelu, "silu": jax.nn.silu, "tanh": jnp.tanh}
MONOTONE = {"relu", "tanh"}


class Network(nnx.Module):
    """The network of a list of layers, computed in a form; its weights are drawn from `rngs`.

    Raises LayerError when the layers do not fit each other.
    """

    def __init__(self, layers: Layers, form: Form, *, rngs: nnx.Rngs) -> None:
        self.layers = layers
        self.form = form
        for place, (layer, before) in enumerate(zip(layers, [INPUT, *shapes(layers)], strict=False)):
            if isinstance(layer, Conv | Dense):
                setattr(self, name(place, layer), _linear(layer, before[-1], form, rngs))

    def __call__(self, images: jax.Array, *, dropout_key: jax.Array | None = None) -> jax.Array:
        """Logits float32 [n, 10] for images uint8 [n, 28, 28]; without a `dropout_key` nothing is dropped.

        With an Input as its first layer: logits [n, classes] for images, or for rows of a table float32 [n, features].
        """
        return self.with_features(images, dropout_key=dropout_key)[0]

    def with_features(self, images: jax.Array, *, dropout_key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Logits as of a call, and the features float32 [n, f]: what the layer at `feature_place` reads.

        Without such a layer, the features are the picture at half its size; those of a table are its rows.
        """
        first = self.layers[0]
        table = isinstance(first, Input) and first.axes != INPUT
        x = images if table else normalise(images)[..., None]  # [n, features] or [n, 28, 28, 1]
        read, features = feature_place(self.layers), x if table else _half(x)
        for place, layer in enumerate(self.layers):
            if place == read:
                features = x.astype(jnp.float32)
            x = self._computed(place, layer, x, dropout_key)
        return x.astype(jnp.float32), features

    def _computed(self, place: int, layer: Layer, x: jax.Array, dropout_key: jax.Array | None) -> jax.Array:
        """What the layer at a place gives for x."""
        match layer:
            case Conv() | Dense():
                x = getattr(self, name(place, layer))(x)
                if layer.activation and not self._pooled_first(place):
                    x = ACTIVATIONS[layer.activation](x)
            case MaxPool():
                x = self.form.max_pool(x, layer.size)
                before = self.layers[place - 1]
                if isinstance(before, Conv) and before.activation and self._pooled_first(place - 1):
                    x = ACTIVATIONS[before.activation](x)
            case Dropout():
                if layer.rate and dropout_key is not None:
                    x = _dropped(x, layer.rate, jax.random.fold_in(dropout_key, place))
            case Flatten():
                x = x.reshape(x.shape[0], -1)
            case Reshape():
                x = x.reshape(x.shape[0], *layer.to)
        return x

    def _pooled_first(self, place: int) -> bool:
        """Whether the activation of a layer is applied after the max pooling behind it: equal values, fewer of them."""
        layer, *after = self.layers[place : place + 2]
        return isinstance(layer, Conv) and layer.activation in MONOTONE and isinstance(after[0], MaxPool)


class Forward(Protocol):
    """A network as a pure function: logits float32 [n, 10] for images uint8 [n, 28, 28]."""

    def __call__(self, params: Params, images: jax.Array, *, dropout_key: jax.Array | None = None) -> jax.Array: ...
    def __hash__(self) -> int: ...


@lru_cache(32)
def forward(layers: Layers, form: Form) -> Forward:
    """The network of a list of layers as a pure function of its weights. Nothing is computed or drawn here.

    The same layers and form give the same function object, so that JAX finds what was compiled from it.
    """
    graph = nnx.graphdef(_abstract(layers, form))

    def logits(params: Params, images: jax.Array, *, dropout_key: jax.Array | None = None) -> jax.Array:
        return nnx.merge(graph, params)(images, dropout_key=dropout_key)

    return logits


def forward_with_features(layers: Layers, form: Form) -> Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]:
    """As `forward`, and gives the features beside the logits."""
    graph = nnx.graphdef(_abstract(layers, form))

    def computed(params: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        return nnx.merge(graph, params).with_features(images)

    return computed


def initialise(layers: Layers, form: Form, key: jax.Array) -> Params:
    """Weights drawn afresh: He et al. 2015 for kernels, zeros for biases."""
    return nnx.to_pure_dict(nnx.state(Network(layers, form, rngs=nnx.Rngs(key))))


def abstract_params(layers: Layers, form: Form) -> Params:
    """The tree of weights with `jax.ShapeDtypeStruct` leaves on the first device, as Orbax wants it for restoring."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    params = nnx.to_pure_dict(nnx.state(_abstract(layers, form)))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), params)


def name(place: int, layer: Layer) -> str:
    """The name of a layer in the tree of weights, such as `conv_0` or `dense_5`."""
    return f"{kind(layer)}_{place}"


def _dropped(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Dropout with a byte of randomness a value, the rate rounded to 1/256.

    `nnx.Dropout` draws eight bytes a value, a seventh of the time of a step of mlp_deep on CPU.
    """
    dropped = min(round(rate * 256), 255)
    words = jax.random.bits(key, (*x.shape[:-1], -(-x.shape[-1] // 4)))
    draws = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]
    return jnp.where(draws >= dropped, x * (256 / (256 - dropped)), 0)


def _half(x: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels: [n, 28, 28, 1] -> [n, 196]; as a sum of slices, which CPUs add faster than windows."""
    quarters = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return (sum(quarters[1:], start=quarters[0]) / 4).reshape(x.shape[0], -1)


def _abstract(layers: Layers, form: Form) -> Network:
    return nnx.eval_shape(lambda: Network(layers, form, rngs=nnx.Rngs(0)))


def _linear(layer: Conv | Dense, features: int, form: Form, rngs: nnx.Rngs) -> nnx.Module:
    kernel_init = nnx.initializers.he_normal()
    if isinstance(layer, Dense):
        return nnx.Linear(features, layer.features, kernel_init=kernel_init, dtype=form.dtype, rngs=rngs)
    return nnx.Conv(
        features,
        layer.features,
        kernel_size=(layer.kernel, layer.kernel),
        strides=layer.stride,
        padding=layer.padding.upper(),
        kernel_init=kernel_init,
        dtype=form.dtype,
        conv_general_dilated=form.convolve,
        rngs=rngs,
    )
