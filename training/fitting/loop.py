"""Training: the loss, the step, and the loop over epochs."""

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
from training.fitting.batches import STEPS_PER_CALL, Batches, compile_draw
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
    from training.network.layers import Layers
    from training.recipe import Recipe

EVALUATION_ROWS = 1000
COMPILED_TO_KEEP = 32
"""Cross-validation trains the same network on the same number of digits again and again: it is compiled once."""


class Diverged(DigitsError):
    """The loss is no longer a finite number."""


class State(NamedTuple):
    """Everything that the next epoch depends on; between two epochs its arrays are NumPy's."""

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


def before_first_epoch(layers: Layers, recipe: Recipe, params: Params | None = None) -> Epoch:
    """Where training starts: `params`, to go on from what another run has learned, or weights drawn from the seed."""
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

    It learns the labels, or if there are `teachers`, what these answer.

    What comes out is a function of layers, recipe and data alone, bit for bit on one machine, however often training
    was taken up again from an epoch it had yielded. All devices of all processes share in the work. Raises Diverged,
    and DigitsError for a batch that is larger than the data or that the devices cannot share.
    """
    steps_per_epoch = len(training) // recipe.batch_size
    if steps_per_epoch == 0:
        raise DigitsError(f"a batch of {recipe.batch_size} is larger than the {len(training)} training images")
    mesh = data_parallel_mesh()
    batch = _batch_shape(layers, recipe, mesh)
    draw = compile_draw(training, recipe, shapes(layers)[-1][0], mesh, teachers)
    unseeded = msgspec.structs.replace(recipe, seed=0)  # what is compiled is the same for every seed
    take_steps = compile_steps(forward(layers, training_form()), unseeded, steps_per_epoch, mesh)
    logits = compile_logits(layers)

    host, history = start
    state = jax.device_put(host, replicated(mesh))
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began = time.perf_counter()
        keys = jax.random.split(jax.random.wrap_key_data(host.key), 4)
        key, shuffle_key, draw_key, dropout_key = np.asarray(jax.random.key_data(keys))
        order = np.asarray(jax.random.permutation(jax.random.wrap_key_data(shuffle_key), len(training)))
        order = order[: steps_per_epoch * recipe.batch_size].reshape(steps_per_epoch, *batch)
        loss = 0.0
        for first in range(0, steps_per_epoch, STEPS_PER_CALL):
            batches = order[first : first + STEPS_PER_CALL]
            before = (epoch - 1) * steps_per_epoch + first
            drawn = draw(batches, draw_key, first)
            state, part = take_steps(state, drawn, dropout_key, before, len(batches))
            loss += float(part)
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss} in epoch {epoch}: try a lower learning rate")
            done = before + len(batches)
            watch(epoch=epoch, images=done * recipe.batch_size, loss=loss / (first + len(batches)), row=None)
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


@lru_cache(COMPILED_TO_KEEP)
def compile_logits(layers: Layers) -> Callable[[Params, Examples], NDArray[np.float32]]:
    """A function that gives the logits float32 [n, 10] of every picture, without dropout, some at a time."""
    network = jax.jit(forward(layers, inference_form()))

    def logits(params: Params, digits: Examples) -> NDArray[np.float32]:
        parts = [digits.images[first : first + EVALUATION_ROWS] for first in range(0, len(digits), EVALUATION_ROWS)]
        return np.concatenate([np.asarray(network(params, part)) for part in parts])

    return logits


def _batch_shape(layers: Layers, recipe: Recipe, mesh: Mesh) -> tuple[int, int]:
    """How a batch is laid out: parts, and the rows of each. Raises DigitsError for rows that cannot be shared out.

    A part has at most the rows that the training form likes best, and at least half of them; without convolutions,
    or when the batch cannot be divided so, it is one part. That does not depend on the number of devices, so that
    the same pictures and units are dropped on any number of them.
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
    """A jitted function that takes `count` steps; gives the new state and the sum of the losses.

    Its arguments: the state, Batches, a random key's data for dropout, how many steps were taken before, count.
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
        state: State, batches: Batches, dropout_key: jax.Array, before: int, count: int
    ) -> tuple[State, jax.Array]:
        def step(i: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            (params, average, opt_state, key), total = carry
            step_key = jax.random.fold_in(jax.random.wrap_key_data(dropout_key), before + i)
            loss, gradient = loss_and_gradient(params, batches.images[i], batches.targets[i], step_key)
            update, opt_state = tx.update(gradient, opt_state, params)
            params = optax.apply_updates(params, update)
            if recipe.average:
                # of young weights the average forgets faster, or it would be about the first of them for long
                decay = jnp.minimum(recipe.average, (1 + before + i) / (10 + before + i))
                average = optax.incremental_update(params, average, 1 - decay)
            return State(params, average, opt_state, key), total + loss

        state, total = lax.fori_loop(0, count, step, (state, jnp.float32(0)))
        return state if recipe.average else state._replace(average=state.params), total

    return take_steps
