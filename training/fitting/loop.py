"""The training loop: loss, optimizer step, epochs."""

from __future__ import annotations

import math
import time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import optax
from jax import lax

from training.distributed.mesh import data_parallel_mesh, replicated
from training.errors import DigitsError
from training.fitting.batches import STEPS_PER_CALL, compile_draw
from training.fitting.device_digits import keep_on_devices
from training.fitting.optimizer import optimizer
from training.network.convolution import inference_form, training_form
from training.network.layers import Conv, shapes
from training.network.module import Forward, Params, forward, initialise
from training.store.card import EpochRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jax.sharding import Mesh
    from numpy.typing import NDArray

    from training.data.digits import Examples
    from training.fitting.batches import Batches
    from training.fitting.device_digits import DeviceDigits
    from training.network.layers import Layers
    from training.recipe import Recipe

EVALUATION_ROWS = 1000
COMPILED_TO_KEEP = 32
"""Compiled functions that are kept: cross-validation, which trains a network many times, compiles it once."""


class Diverged(DigitsError):
    """The loss or a logit is no longer a finite number."""


class State(NamedTuple):
    """Everything that the next epoch depends on; between two epochs it has NumPy arrays."""

    params: Params
    average: Params
    """The running average of `params`, which is evaluated and published."""
    optimizer: optax.OptState
    key: jax.Array
    """The data of a random key, uint32 [2]."""


class Watch(Protocol):
    """Progress callback: called after each compiled call with `row` None, and after each epoch with its row.

    A call is STEPS_PER_CALL steps on CPU, and an epoch on accelerators.
    """

    def __call__(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None: ...


class Epoch(NamedTuple):
    """The state of training between two epochs, with the rows of the epochs so far."""

    state: State
    history: tuple[EpochRow, ...]


def before_first_epoch(layers: Layers, recipe: Recipe, params: Params | None = None) -> Epoch:
    """The state before the first epoch, with the weights `params`, or with weights drawn from the seed."""
    init_key, key = jax.random.split(jax.random.key(recipe.seed))
    if params is None:
        params = initialise(layers, training_form(), init_key)
    state = State(params, params, optimizer(recipe, 1).init(params), jax.random.key_data(key))
    return Epoch(jax.tree.map(np.asarray, state), ())


def fit(
    layers: Layers,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    start: Epoch,
    watch: Watch,
    teachers: Sequence[tuple[Layers, Params]] = (),
) -> Iterator[Epoch]:
    """Trains a network from `start` to the recipe's last epoch; yields after every epoch.

    It learns the labels, or the answers of `teachers` if there are some.

    The outcome is a function of layers, recipe and data alone, bit for bit on one machine, no matter how often training
    was resumed from a yielded epoch. All devices of all processes share the work (data-parallel). Raises Diverged, and
    DigitsError for a batch that is larger than the data or that the devices cannot share.
    """
    steps_per_epoch = len(training) // recipe.batch_size
    if steps_per_epoch == 0:
        raise DigitsError(
            f"a batch of {recipe.batch_size} is larger than the {len(training)} training images, want at most "
            f"{len(training)} (--batch-size)"
        )
    mesh = data_parallel_mesh()
    batch = _batch_shape(layers, recipe, mesh)
    ahead = draws_ahead()
    draw = (compile_draw if ahead else keep_on_devices)(training, recipe, shapes(layers)[-1][0], mesh, teachers)
    steps_per_call = STEPS_PER_CALL if ahead else steps_per_epoch
    shuffle = compile_shuffle(len(training), (steps_per_epoch, *batch), mesh)
    unseeded = msgspec.structs.replace(recipe, seed=0)  # compiled once for all seeds
    take_steps = compile_steps(forward(layers, training_form()), unseeded, steps_per_epoch, mesh)
    logits = compile_logits(layers)

    host, history = start
    state = jax.device_put(host, replicated(mesh))
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began = time.perf_counter()
        keys = jax.random.split(jax.random.wrap_key_data(host.key), 4)
        key, shuffle_key, draw_key, dropout_key = np.asarray(jax.random.key_data(keys))
        order = shuffle(shuffle_key)
        loss = 0.0
        for first in range(0, steps_per_epoch, steps_per_call):
            before = (epoch - 1) * steps_per_epoch + first
            count = min(steps_per_call, steps_per_epoch - first)
            state, part = take_steps(state, draw(order, draw_key, first), dropout_key, before, count)
            loss += float(part)
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss} in epoch {epoch}: try a lower learning rate")
            done = before + count
            watch(epoch=epoch, images=done * recipe.batch_size, loss=loss / (first + count), row=None)
        seconds = time.perf_counter() - began
        host = jax.tree.map(np.asarray, state)._replace(key=key)
        scores = logits(host.average, validation)
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
        history = (*history, row)
        watch(epoch=epoch, images=done * recipe.batch_size, loss=row.loss, row=row)
        yield Epoch(host, history)


def draws_ahead() -> bool:
    """Whether batches are made before the compiled loop over steps, and not within it: on CPU."""
    return jax.default_backend() == "cpu"


@lru_cache(COMPILED_TO_KEEP)
def compile_shuffle(images: int, batches: tuple[int, int, int], mesh: Mesh) -> Callable[[Any], jax.Array]:
    """A jitted function that gives the indices of an epoch's pictures, int32 [steps, parts, rows], by a random key."""

    @partial(jax.jit, out_shardings=replicated(mesh))
    def shuffle(key: jax.Array) -> jax.Array:
        order = jax.random.permutation(jax.random.wrap_key_data(key), images)
        return order[: math.prod(batches)].reshape(batches)

    return shuffle


@lru_cache(COMPILED_TO_KEEP)
def compile_logits(layers: Layers) -> Callable[[Params, Examples], NDArray[np.float32]]:
    """A function that gives the logits float32 [n, 10] of every picture, without dropout, EVALUATION_ROWS at a time."""
    network = jax.jit(forward(layers, inference_form()))

    def logits(params: Params, digits: Examples) -> NDArray[np.float32]:
        parts = [digits.images[first : first + EVALUATION_ROWS] for first in range(0, len(digits), EVALUATION_ROWS)]
        return np.concatenate([np.asarray(network(params, part)) for part in parts])

    return logits


def _batch_shape(layers: Layers, recipe: Recipe, mesh: Mesh) -> tuple[int, int]:
    """The layout of a batch: (parts, rows of each). Raises DigitsError for rows that the devices cannot share evenly.

    A part has at most the number of rows that is fastest for the training form, and at least half of it; without
    convolutions, or where the batch cannot be divided so, there is one part. The layout does not depend on the number
    of devices, so that dropout is the same on any number of them.
    """
    size = recipe.batch_size
    best = training_form().rows if any(isinstance(layer, Conv) for layer in layers) else None
    wanted = best or size
    rows = next((rows for rows in range(min(wanted, size), (wanted - 1) // 2, -1) if size % rows == 0), size)
    if rows % mesh.size:
        raise DigitsError(
            f"a batch of {size} is worked on {rows} at a time, which {mesh.size} devices cannot share evenly: "
            f"want a batch size that is a multiple of {mesh.size * (size // rows)}"
        )
    return size // rows, rows


@lru_cache(COMPILED_TO_KEEP)
def compile_steps(
    network: Forward, recipe: Recipe, steps_per_epoch: int, mesh: Mesh
) -> Callable[..., tuple[State, jax.Array]]:
    """A jitted function that takes `count` optimizer steps; returns the new state and the sum of the losses.

    Its arguments: the state, Batches or DeviceDigits, a random key's data for dropout, the number of steps before,
    count.
    """
    tx = optimizer(recipe, steps_per_epoch)

    def mean_loss(params: Params, images: jax.Array, targets: jax.Array, key: jax.Array) -> jax.Array:
        scores = network(params, images, dropout_key=key)
        return optax.softmax_cross_entropy(scores, targets).mean()

    def loss_and_gradient(
        params: Params, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Params]:
        def add(total: tuple[jax.Array, Params], part: Any) -> tuple[tuple[jax.Array, Params], None]:
            return jax.tree.map(jnp.add, total, jax.value_and_grad(mean_loss)(params, *part)), None

        parts = len(images)
        if parts == 1:
            return jax.value_and_grad(mean_loss)(params, images[0], targets[0], key)
        zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, params))
        total, _ = lax.scan(add, zero, (images, targets, jax.random.split(key, parts)))
        return jax.tree.map(lambda summed: summed / parts, total)

    @partial(jax.jit, out_shardings=replicated(mesh))
    def take_steps(
        state: State, batches: Batches | DeviceDigits, dropout_key: jax.Array, before: int, count: int
    ) -> tuple[State, jax.Array]:
        def step(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            (params, average, opt_state, key), total = carry
            step_key = jax.random.fold_in(jax.random.wrap_key_data(dropout_key), before + i)
            loss, gradient = loss_and_gradient(params, *batches.batch(i), step_key)
            update, opt_state = tx.update(gradient, opt_state, params)
            params = optax.apply_updates(params, update)
            if recipe.average:
                # a shorter memory at first, or the average would be dominated by the initial weights for long
                decay = jnp.minimum(recipe.average, (1 + before + i) / (10 + before + i))
                average = optax.incremental_update(params, average, 1 - decay)
            return State(params, average, opt_state, key), total + loss

        state, total = lax.fori_loop(0, count, step, (state, jnp.float32(0)))
        return state if recipe.average else state._replace(average=state.params), total

    return take_steps
