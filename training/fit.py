"""Training: the loss, the step, and the loop over epochs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from training.card import EpochRow
from training.convolution import inference_form, training_form
from training.errors import DigitsError
from training.network import Forward, Params, forward, initialise
from training.optimizer import optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.layers import Layers
    from training.recipe import Recipe

STEPS_PER_CALL = 40
"""Compiled steps between two looks at the progress bar and at Ctrl-C; half a second for lenet on two cores."""
EVALUATION_ROWS = 1000


class Diverged(DigitsError):
    """The loss is no longer a finite number."""


class State(NamedTuple):
    """Everything that the next epoch depends on. `key` is the data of a random key, uint32 [2]."""

    params: Params
    optimizer: optax.OptState
    key: jax.Array


class Watch(Protocol):
    """Told how training goes: after some steps, with `row` None, and at the end of each epoch with its row."""

    def __call__(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None: ...


Carry = tuple[Params, optax.OptState, jax.Array]


class Epoch(NamedTuple):
    """Where training stands between two epochs; from here it can go on."""

    state: State
    history: tuple[EpochRow, ...]


def before_first_epoch(layers: Layers, recipe: Recipe) -> Epoch:
    """Where training starts: weights drawn from the recipe's seed."""
    init_key, key = jax.random.split(jax.random.key(recipe.seed))
    params = initialise(layers, training_form(), init_key)
    return Epoch(State(params, optimizer(recipe, 1).init(params), jax.random.key_data(key)), ())


def fit(
    layers: Layers, recipe: Recipe, training: Digits, validation: Digits, start: Epoch, watch: Watch
) -> Iterator[Epoch]:
    """Trains a network from `start` to the recipe's last epoch; yields after every epoch.

    What comes out is a function of layers, recipe and data alone, bit for bit on one machine, however often training
    was taken up again from an epoch it had yielded. Raises Diverged, and DigitsError for a batch larger than the data.
    """
    steps_per_epoch = len(training) // recipe.batch_size
    if steps_per_epoch == 0:
        raise DigitsError(f"a batch of {recipe.batch_size} is larger than the {len(training)} training images")
    steps = compile_steps(forward(layers, training_form()), optimizer(recipe, steps_per_epoch))
    logits = compile_logits(layers)
    images, labels = jnp.asarray(training.images), jnp.asarray(training.labels)

    state, history = start
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began = time.perf_counter()
        key, shuffle_key, dropout_key = jax.random.split(jax.random.wrap_key_data(state.key), 3)
        order = jax.random.permutation(shuffle_key, len(training))
        batches = order[: steps_per_epoch * recipe.batch_size].reshape(steps_per_epoch, recipe.batch_size)
        keys = jax.random.split(dropout_key, steps_per_epoch)
        params, opt_state, loss = state.params, state.optimizer, 0.0
        for first in range(0, steps_per_epoch, STEPS_PER_CALL):
            last = min(first + STEPS_PER_CALL, steps_per_epoch)
            params, opt_state, part = steps(params, opt_state, images, labels, batches, keys, first, last)
            loss += float(part)
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss} in epoch {epoch}: try a lower learning rate")
            done = ((epoch - 1) * steps_per_epoch + last) * recipe.batch_size
            watch(epoch=epoch, images=done, loss=loss / last, row=None)
        seconds = time.perf_counter() - began
        wrong = logits(params, validation).argmax(axis=1) != validation.labels
        row = EpochRow(
            epoch=epoch,
            loss=loss / steps_per_epoch,
            validation_error=float(wrong.mean()),
            images_per_s=len(batches) * recipe.batch_size / seconds,
            seconds=seconds,
        )
        state, history = State(params, opt_state, jax.random.key_data(key)), (*history, row)
        watch(epoch=epoch, images=done, loss=row.loss, row=row)
        yield Epoch(state, history)


def compile_logits(layers: Layers) -> Callable[[Params, Digits], NDArray[np.float32]]:
    """A function that gives the logits float32 [n, 10] of every picture, without dropout, some at a time."""
    network = jax.jit(forward(layers, inference_form()))

    def logits(params: Params, digits: Digits) -> NDArray[np.float32]:
        parts = [digits.images[first : first + EVALUATION_ROWS] for first in range(0, len(digits), EVALUATION_ROWS)]
        return np.concatenate([np.asarray(network(params, part)) for part in parts])

    return logits


def compile_steps(network: Forward, tx: optax.GradientTransformation) -> Callable[..., Carry]:
    """A jitted function that takes steps `first` to `last`; gives weights, optimizer state and the sum of losses.

    Its arguments: weights, optimizer state, images uint8 [m, 28, 28], labels uint8 [m], batches of indices
    int32 [steps, batch], one random key for each step, first, last.
    """

    def mean_loss(params: Params, images: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        scores = network(params, images, dropout_key=key)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    @jax.jit
    def steps(
        params: Params,
        opt_state: optax.OptState,
        images: jax.Array,
        labels: jax.Array,
        batches: jax.Array,
        keys: jax.Array,
        first: int,
        last: int,
    ) -> Carry:
        def step(i: jax.Array, carry: Carry) -> Carry:
            params, opt_state, total = carry
            batch = batches[i]
            loss, gradient = jax.value_and_grad(mean_loss)(params, images[batch], labels[batch], keys[i])
            update, opt_state = tx.update(gradient, opt_state, params)
            return optax.apply_updates(params, update), opt_state, total + loss

        return jax.lax.fori_loop(first, last, step, (params, opt_state, jnp.float32(0)))

    return steps
