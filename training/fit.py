"""Training: the loss, the step, and the loop over epochs."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax

from training.augment import distort
from training.card import EpochRow
from training.convolution import inference_form, training_form
from training.errors import DigitsError
from training.images import SIDE
from training.layers import Conv
from training.network import Forward, Params, forward, initialise
from training.optimizer import optimizer
from training.recipe import Distortion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.layers import Layers
    from training.recipe import Recipe

STEPS_PER_CALL = 40
"""Compiled steps between two looks at the progress bar and at Ctrl-C; half a second for lenet on two cores."""
EVALUATION_ROWS = 1000
COMPILED_TO_KEEP = 32
"""Cross-validation trains the same network on the same number of digits again and again: it is compiled once."""


class Diverged(DigitsError):
    """The loss is no longer a finite number."""


class State(NamedTuple):
    """Everything that the next epoch depends on."""

    params: Params
    average: Params
    """The running average of `params`: what is evaluated and published."""
    optimizer: optax.OptState
    key: jax.Array
    """The data of a random key, uint32 [2]."""


class Watch(Protocol):
    """Told how training goes: after some steps, with `row` None, and at the end of each epoch with its row."""

    def __call__(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None: ...


class Epoch(NamedTuple):
    """Where training stands between two epochs; from here it can go on."""

    state: State
    history: tuple[EpochRow, ...]


def before_first_epoch(layers: Layers, recipe: Recipe) -> Epoch:
    """Where training starts: weights drawn from the recipe's seed."""
    init_key, key = jax.random.split(jax.random.key(recipe.seed))
    params = initialise(layers, training_form(), init_key)
    return Epoch(State(params, params, optimizer(recipe, 1).init(params), jax.random.key_data(key)), ())


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
    draw = compile_draw(training, recipe)
    unseeded = msgspec.structs.replace(recipe, seed=0)  # what is compiled is the same for every seed
    form = training_form()
    rows = form.rows if any(isinstance(layer, Conv) for layer in layers) else None
    take_steps = compile_steps(forward(layers, form), unseeded, steps_per_epoch, rows)
    logits = compile_logits(layers)

    state, history = start
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began = time.perf_counter()
        key, shuffle_key, epoch_key = jax.random.split(jax.random.wrap_key_data(state.key), 3)
        order = jax.random.permutation(shuffle_key, len(training))
        order = order[: steps_per_epoch * recipe.batch_size].reshape(steps_per_epoch, recipe.batch_size)
        loss = 0.0
        for first in range(0, steps_per_epoch, STEPS_PER_CALL):
            draw_key, dropout_key = jax.random.split(jax.random.fold_in(epoch_key, first))
            batches = order[first : first + STEPS_PER_CALL]
            before = (epoch - 1) * steps_per_epoch + first
            state, part = take_steps(state, draw(batches, draw_key), dropout_key, before, len(batches))
            loss += float(part)
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss} in epoch {epoch}: try a lower learning rate")
            done = before + len(batches)
            watch(epoch=epoch, images=done * recipe.batch_size, loss=loss / (first + len(batches)), row=None)
        seconds = time.perf_counter() - began
        scores = logits(state.average, validation)
        if not np.isfinite(scores).all():
            raise Diverged(f"the logits are not finite after epoch {epoch}: try a lower learning rate")
        wrong = scores.argmax(axis=1) != validation.labels
        row = EpochRow(
            epoch=epoch,
            loss=loss / steps_per_epoch,
            validation_error=float(wrong.mean()),
            images_per_s=steps_per_epoch * recipe.batch_size / seconds,
            seconds=seconds,
        )
        state, history = state._replace(key=jax.random.key_data(key)), (*history, row)
        watch(epoch=epoch, images=done * recipe.batch_size, loss=row.loss, row=row)
        yield Epoch(state, history)


@lru_cache(COMPILED_TO_KEEP)
def compile_logits(layers: Layers) -> Callable[[Params, Digits], NDArray[np.float32]]:
    """A function that gives the logits float32 [n, 10] of every picture, without dropout, some at a time."""
    network = jax.jit(forward(layers, inference_form()))

    def logits(params: Params, digits: Digits) -> NDArray[np.float32]:
        parts = [digits.images[first : first + EVALUATION_ROWS] for first in range(0, len(digits), EVALUATION_ROWS)]
        return np.concatenate([np.asarray(network(params, part)) for part in parts])

    return logits


class Batches(NamedTuple):
    """What STEPS_PER_CALL steps are taken on."""

    images: jax.Array
    """uint8 [steps, batch, 28, 28]."""
    labels: jax.Array
    """uint8 [steps, batch]."""


def compile_draw(training: Digits, recipe: Recipe) -> Callable[[jax.Array, jax.Array], Batches]:
    """A function that gives the pictures of batches of indices int32 [steps, batch], distorted as the recipe says.

    This is done outside of the loop over steps, where XLA has all processors work on it. Fewer steps than
    STEPS_PER_CALL are filled up, so that there is one shape to compile for.
    """
    images, labels = jnp.asarray(training.images), jnp.asarray(training.labels)

    drawn = _compile_drawn(recipe.distortion)

    def draw(batches: jax.Array, key: jax.Array) -> Batches:
        return drawn(images, labels, jnp.pad(batches, ((0, STEPS_PER_CALL - len(batches)), (0, 0))), key)

    return draw


@lru_cache(COMPILED_TO_KEEP)
def _compile_drawn(distortion: Distortion) -> Callable[..., Batches]:
    @jax.jit
    def drawn(images: jax.Array, labels: jax.Array, batches: jax.Array, key: jax.Array) -> Batches:
        pictures = images[batches]
        if distortion != Distortion():
            pictures = distort(pictures.reshape(-1, SIDE, SIDE), key, distortion).reshape(pictures.shape)
        return Batches(pictures, labels[batches])

    return drawn


@lru_cache(COMPILED_TO_KEEP)
def compile_steps(
    network: Forward, recipe: Recipe, steps_per_epoch: int, rows: int | None = None
) -> Callable[..., tuple[State, jax.Array]]:
    """A jitted function that takes `count` steps; gives the new state and the sum of the losses.

    The gradient of a batch is computed of about `rows` pictures at a time and averaged; None: of all of them at once.
    Its arguments: the state, Batches, a random key for dropout, how many steps were taken before, count.
    """
    tx = optimizer(recipe, steps_per_epoch)
    parts = _parts(recipe.batch_size, rows)

    def mean_loss(params: Params, images: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        scores = network(params, images, dropout_key=key)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

    def loss_and_gradient(
        params: Params, images: jax.Array, labels: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Params]:
        def add(total: tuple[jax.Array, Params], part: Any) -> tuple[tuple[jax.Array, Params], None]:
            return jax.tree.map(jnp.add, total, jax.value_and_grad(mean_loss)(params, *part)), None

        if parts == 1:
            return jax.value_and_grad(mean_loss)(params, images, labels, key)
        split = (images.reshape(parts, -1, *images.shape[1:]), labels.reshape(parts, -1), jax.random.split(key, parts))
        zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, params))
        total, _ = jax.lax.scan(add, zero, split)
        return jax.tree.map(lambda sum_: sum_ / parts, total)

    @jax.jit
    def take_steps(
        state: State, batches: Batches, dropout_key: jax.Array, before: int, count: int
    ) -> tuple[State, jax.Array]:
        def step(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            (params, average, opt_state, key), total = carry
            step_key = jax.random.fold_in(dropout_key, i)
            loss, gradient = loss_and_gradient(params, batches.images[i], batches.labels[i], step_key)
            update, opt_state = tx.update(gradient, opt_state, params)
            params = optax.apply_updates(params, update)
            # of young weights the average forgets faster, or it would be about the first of them for long
            decay = jnp.minimum(recipe.average, (1 + before + i) / (10 + before + i))
            average = optax.incremental_update(params, average, 1 - decay)
            return State(params, average, opt_state, key), total + loss

        return jax.lax.fori_loop(0, count, step, (state, jnp.float32(0)))

    return take_steps


def _parts(batch_size: int, rows: int | None) -> int:
    """Into how many equal parts to split a batch so that each has at most `rows` pictures and not under half of that."""
    if rows is None:
        return 1
    fitting = [parts for parts in range(1, batch_size + 1) if batch_size % parts == 0 and batch_size // parts <= rows]
    return fitting[0] if 2 * batch_size // fitting[0] >= rows else 1
