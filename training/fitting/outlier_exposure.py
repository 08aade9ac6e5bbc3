"""Outlier exposure: the head of a trained network's detector learns generated pictures of no digit.

Hendrycks, Mazeika & Dietterich 2019, Deep anomaly detection with outlier exposure; here the network stays as it is, and
a small head learns to tell digits of the training from the pictures of `training.exposure`. Both are distorted anew in
each epoch, and drawn with a thicker or a thinner pen: digits that other people write are not to be taken for outliers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from training.exposure.pool import pool
from training.fitting.augmentation import Chances, chances, distort_by
from training.images import FULL_INK
from training.network.convolution import inference_form
from training.network.module import forward_with_features
from training.recipe import Distortion
from training.uncertainty.detector import numbers, score, squared_distance
from training.uncertainty.moments import moments
from training.uncertainty.novelty import HIDDEN, Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.network.layers import Layers
    from training.network.module import Params

DIGITS = 12_000
"""Number of digits of the training in each epoch; fewer are repeated."""
SPOILED = 6000
"""Number of digits that outliers are made from."""
VIEWS, PASSES = 8, 2
"""Each picture is distorted so many times, and its numbers are learned so many times."""
BATCH, AT_ONCE = 250, 1000
"""Rows of a batch, and number of pictures whose numbers are computed at once; a multiple of the former."""
LEARNING_RATE: Final = 6e-3
WEIGHT_DECAY: Final = 1e-4
LEAST_DEVIATION: Final = 0.05
"""Added to the standard deviation that a number is divided by: a pixel that hardly ever has ink counts little."""
HANDS: Final = Distortion(elastic_px=0.9, rotation_rad=0.2, scale=0.2, shear=0.3, shift_px=1.5)
"""The strongest distortion."""
AS_IT_IS: Final = 0.3
"""Share of pictures, 0…1, that are not distorted."""
SAME_PEN: Final = 0.5
"""Share of pictures, 0…1, whose strokes keep their width."""
COARSE: Final = 0.08
"""Share of pictures, 0…1, that are blurred, and share of those in black and white."""
THINNER, THICKER = -0.6, 1.0
"""How far an outline is moved at most, in pixels."""


class Head(NamedTuple):
    """A head in training; its hidden layer reads numbers of mean 0 and deviation 1."""

    kernel: jax.Array
    """[m, HIDDEN]"""
    bias: jax.Array
    """[HIDDEN]"""
    output: jax.Array
    """[HIDDEN]"""
    constant: jax.Array

    @classmethod
    def drawn(cls, m: int, key: jax.Array) -> Head:
        """Random weights (He et al. 2015) for m numbers."""
        kernel = jax.random.normal(key, (m + 1, HIDDEN))
        return cls(kernel[:m] * np.sqrt(2 / m), jnp.zeros(HIDDEN), kernel[m] * np.sqrt(1 / HIDDEN), jnp.float32(0))


def with_head(layers: Layers, params: Params, detector: Detector, training: Digits, seed: int) -> Detector:
    """The detector, which has a distance, with a head trained on digits of the training.

    The outcome is a function of the arguments alone, bit for bit on one machine.
    """
    random, key = np.random.default_rng(seed), jax.random.key(seed)
    some = training.take(np.resize(random.permutation(len(training)), DIGITS))
    drawn = pool(some.images[:SPOILED], some.labels[:SPOILED])
    pictures = np.concatenate([drawn.outliers, some.images, drawn.digits])
    outlying = (np.arange(len(pictures)) < len(drawn.outliers)).astype(np.float32)

    calls = len(pictures) // AT_ONCE
    read, (start, learn) = _compile_reading(layers), _compile_learning(VIEWS * PASSES * calls * AT_ONCE // BATCH)

    def view(number: int, order: NDArray[np.intp]) -> NDArray[np.float32]:
        """What the head reads of pictures in some order, distorted as in no other view: [n, m]."""
        keys = (jax.random.fold_in(key, AT_ONCE * number + call) for call in range(calls))
        rows = zip(order.reshape(calls, AT_ONCE), keys, strict=True)
        return np.concatenate(
            [np.asarray(read(params, detector, _by_other_hands(pictures[some], key))) for some, key in rows]
        )

    for number in range(VIEWS):
        order = random.permutation(len(pictures))[: calls * AT_ONCE]
        found = view(number, order)
        if number == 0:
            mean, deviation = found.mean(axis=0), found.std(axis=0) + np.float32(LEAST_DEVIATION)
            state = start(Head.drawn(len(mean), key))
        standard = (found - mean) / deviation
        for _ in range(PASSES):
            rows = random.permutation(len(order)).reshape(-1, BATCH)
            state = learn(state, standard[rows], outlying[order[rows]])
    head = jax.tree.map(np.asarray, state[0])
    kernel = head.kernel / deviation[:, None]
    weights = [kernel, head.bias[None] - mean @ kernel, head.output[None]]
    return detector._replace(head=np.concatenate(weights).astype(np.float16).astype(np.float32))  # as on a card


@lru_cache(32)
def _compile_reading(layers: Layers) -> Callable[..., jax.Array]:
    """A function of weights, detector and pictures uint8 [n, 28, 28]: the numbers [n, m] that a head reads."""
    network = forward_with_features(layers, inference_form())

    @jax.jit
    def read(params: Params, detector: Detector, images: jax.Array) -> jax.Array:
        logits, features = network(params, images)
        ink = moments(images)
        return numbers(features, ink, logits, squared_distance(detector, ink, logits))

    return read


@lru_cache(32)
def _compile_learning(steps: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Functions of a head, and of state, batches [k, BATCH, m] and labels [k, BATCH], that give the next state."""
    tx = optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, steps), weight_decay=WEIGHT_DECAY)

    def loss(head: Head, found: jax.Array, outlying: jax.Array) -> jax.Array:
        odds = score(jnp.concatenate([head.kernel, head.bias[None], head.output[None]]), found) + head.constant
        return optax.sigmoid_binary_cross_entropy(odds, outlying).mean()

    def step(state: tuple[Head, optax.OptState], batch: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        head, before = state
        update, after = tx.update(jax.grad(loss)(head, *batch), before, head)
        return (optax.apply_updates(head, update), after), None

    @jax.jit
    def learn(state: tuple[Head, optax.OptState], found: jax.Array, outlying: jax.Array) -> tuple[Any, ...]:
        return lax.scan(step, state, (found, outlying))[0]

    return lambda head: (head, tx.init(head)), learn


@jax.jit
def _by_other_hands(pictures: jax.Array, key: jax.Array) -> jax.Array:
    """Copies uint8 [n, 28, 28], each with its own pen and distortion."""
    n = len(pictures)
    pen_key, kind_key, width_key, field_key, strength_key = jax.random.split(key, 5)
    ink = pictures.astype(jnp.float32)
    thick, thin = _spread(ink, jnp.maximum), _spread(ink, jnp.minimum)
    by = jax.random.uniform(width_key, (n, 1, 1), minval=THINNER, maxval=THICKER)
    by *= jax.random.uniform(pen_key, (n, 1, 1)) > SAME_PEN
    drawn = jnp.where(by > 0, ink + by * (thick - ink), ink - by * (thin - ink))
    kind = jax.random.uniform(kind_key, (n, 1, 1))
    drawn = jnp.where(kind < COARSE, _spread(drawn, jnp.add) / 9, drawn)
    drawn = jnp.where(kind > 1 - COARSE, jnp.where(drawn > FULL_INK / 2, FULL_INK, 0), drawn)
    changed = (by != 0) | (kind < COARSE)
    fuller = FULL_INK / jnp.maximum(drawn.max(axis=(1, 2), keepdims=True), FULL_INK / 4)
    drawn = jnp.where(changed, drawn * fuller, drawn)
    images = jnp.clip(jnp.round(drawn), 0, FULL_INK).astype(jnp.uint8)
    fields, strength = chances(field_key, n), jax.random.uniform(strength_key, (n,), minval=-AS_IT_IS / (1 - AS_IT_IS))
    strength = jnp.maximum(strength, 0)
    return distort_by(images, Chances(fields.normal * strength, fields.uniform * strength), HANDS)


def _spread(ink: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    """Each pixel of [n, 28, 28] combined with its eight neighbours; beyond the border there is no ink."""
    for axis in (1, 2):
        padded = jnp.pad(ink, [(1, 1) if i == axis else (0, 0) for i in range(3)])
        before, after = (lax.slice_in_dim(padded, first, first + ink.shape[axis], axis=axis) for first in (0, 2))
        ink = combine(combine(before, ink), after)
    return ink
