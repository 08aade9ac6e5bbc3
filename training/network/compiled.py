"""Inference compiled ahead of time, for a few batch sizes."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from training.answers import EVERYTHING, NOT_A_DIGIT, probabilities_of
from training.errors import DigitsError
from training.images import CLASSES, PIXELS, SIDE
from training.network.convolution import inference_form
from training.network.module import abstract_params, forward_with_features
from training.processors import Device, compute_in_place, one_thread
from training.uncertainty.detector import numbers, score, squared_distance
from training.uncertainty.moments import mean_ink, moments
from training.uncertainty.novelty import HIDDEN, NOWHERE, NUMBERS, Detector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.stages import Compiled
    from numpy.typing import NDArray

    from training.images import Images
    from training.network.layers import Layers
    from training.network.module import Params

    Weights = tuple[Params, np.float32, Detector, NDArray[np.float32]]

ROW_SIZES = (1, 4, 8, 16, 32, 64, 256)
"""Batches are padded to one of these numbers of rows, so that no request waits for a compilation."""
ALONE = 1
"""The batch size that is compiled with the weights as constants: XLA then packs them for its convolutions once and not
with every picture (LeNet, two cores, medians: 114 us in place of 148 us). Rows of larger batches share the packing."""
WEIGHTS_COMPILED_IN = 1_000_000
"""Networks with more weights are not compiled with them: that would take too long for each version."""
NETWORKS_TO_KEEP = 8
"""Compiled networks that are kept for later versions; each takes a few hundred kilobytes."""


PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu", "tpu": "tpu,cpu"}
"""JAX's names, the default device first."""
ACCELERATOR_ROW_SIZES = (*ROW_SIZES, 1024, 4096)
"""An accelerator takes hardly longer for thousands of rows than for one, so batches grow with the queue."""


class NoDevice(DigitsError):
    """JAX has no device of the kind that was asked for."""


class Threads(NamedTuple):
    """How a process computes: the batch sizes, how many batches at the same time, and what the event loop computes."""

    row_sizes: tuple[int, ...] = ROW_SIZES
    at_once: int = 1
    inline_rows: int = 0
    """Rows that are computed faster than another thread is waken up."""


def compute_alone(device: Device = "auto") -> Threads:
    """As `compute_in_place`, on a device, and each batch takes one thread; raises NoDevice.

    XLA divides a batch among its threads and waits for the slowest: with the 64 pictures that fit into the caches
    (LeNet), two threads are hardly faster than one and take twice the processor time; beside a busy event loop they are
    slower. Several batches at the same time do not wait for each other. An accelerator has one thread that feeds it.
    """
    compute_in_place()
    if device != "auto":
        jax.config.update("jax_platforms", PLATFORMS[device])
    with one_thread() as processors:
        try:
            found = jax.default_backend()
        except RuntimeError as error:
            raise NoDevice(f"device {device!r}: {str(error).partition(' (set JAX_PLATFORMS')[0]}") from None
    if device not in ("auto", found):
        raise NoDevice(f"device {device!r} is none that JAX finds here, want auto or {found}")
    if found == "cpu":
        return Threads(ROW_SIZES[:-1], processors, inline_rows=1)
    return Threads(ACCELERATOR_ROW_SIZES)


class CompiledNetwork:
    """A network whose logits are divided by `temperature`, with limits for accepted answers. Thread-safe.

    `detector` gives the novelty (`uncertainty.novelty`), 0 by default. An answer is accepted with a certainty above the
    first of `limits` and a novelty up to the second.

    Every size in `row_sizes` is compiled here and none later; more rows than the largest are computed in several
    batches.
    """

    def __init__(
        self,
        layers: Layers,
        params: Params,
        *,
        temperature: float = 1.0,
        detector: Detector = NOWHERE,
        limits: tuple[float, float] = EVERYTHING,
        row_sizes: Sequence[int] = ROW_SIZES,
    ) -> None:
        self.row_sizes = tuple(sorted(row_sizes))
        weights = params, np.float32(temperature), detector, np.array(limits, np.float32)
        on_device = jax.device_put(weights)
        alone = ALONE in self.row_sizes and sum(map(np.size, jax.tree.leaves(params))) <= WEIGHTS_COMPILED_IN
        shared = self.row_sizes[1:] if alone else self.row_sizes
        self._compiled: dict[int, Callable[[Images], jax.Array]] = {
            rows: partial(columns, *on_device) for rows, columns in _compile(layers, len(detector.head), shared).items()
        }
        if alone:
            self._compiled[ALONE] = _compile_with(layers, jax.tree.map(np.asarray, weights))

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Probabilities float32 [n, 10] for images uint8 [n, 28, 28], n >= 1."""
        return probabilities_of(self.columns(images))

    def columns(self, images: Images) -> NDArray[np.float32]:
        """The columns of `training.answers`, float32 [n, 16], for images uint8 [n, 28, 28], n >= 1."""
        if compiled := self._compiled.get(len(images)):
            return np.asarray(compiled(images))
        largest = self.row_sizes[-1]
        parts = [self._batch(images[first : first + largest]) for first in range(0, len(images), largest)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def padded(self, rows: int) -> int:
        """The batch size that so many rows are padded to; `rows` is at most the largest size."""
        return self.row_sizes[bisect_left(self.row_sizes, rows)]

    def _batch(self, images: Images) -> NDArray[np.float32]:
        rows = len(images)
        size = self.padded(rows)
        if size != rows:
            # new memory each time, for JAX may read it in place; a copy by NumPy would release the GIL
            padded = b"".join([np.ascontiguousarray(images).data, bytes((size - rows) * PIXELS)])
            images = np.frombuffer(padded, np.uint8).reshape(size, SIDE, SIDE)
        return np.asarray(self._compiled[size](images))[:rows]


@lru_cache(NETWORKS_TO_KEEP)
def _compile(layers: Layers, head_rows: int, row_sizes: tuple[int, ...]) -> dict[int, Compiled]:
    """By batch size: a function of weights, temperature, detector, limits, images, for all versions of these layers."""
    lower = jax.jit(columns_function(layers)).lower
    return {rows: lower(*abstract_arguments(layers, head_rows, rows)).compile() for rows in row_sizes}


def _compile_with(layers: Layers, weights: Weights) -> Compiled:
    """A function of one image, with the weights as constants."""
    return jax.jit(partial(columns_function(layers), *weights)).lower(_pictures(ALONE)).compile()


def _pictures(rows: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, SIDE, SIDE), jnp.uint8)


def abstract_arguments(layers: Layers, head_rows: int, rows: int) -> tuple[Any, ...]:
    """Shapes and dtypes of what `columns_function` takes for so many images."""

    def shaped(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    detector = Detector(shaped(NUMBERS, NUMBERS), shaped(CLASSES, NUMBERS), shaped(head_rows, HIDDEN))
    return abstract_params(layers, inference_form()), shaped(), detector, shaped(2), _pictures(rows)


def columns_function(layers: Layers) -> Callable[..., jax.Array]:
    """The function of weights, temperature, detector, limits, images uint8 [n, 28, 28] that gives columns."""
    network = forward_with_features(layers, inference_form())

    def columns(
        params: Params, temperature: jax.Array, detector: Detector, limits: jax.Array, images: jax.Array
    ) -> jax.Array:
        logits, features = network(params, images)
        ink = moments(images)
        probabilities = _softmax(logits / temperature)
        certainty = _largest(_softmax(logits))
        novelty = squared_distance(detector, ink, logits)
        if len(detector.head):
            novelty = score(detector.head, numbers(features, ink, logits, novelty))
        confidence, digit = _largest(probabilities), (-probabilities).argmin(axis=1)
        uncertain = ~(certainty > limits[0])  # compared in float32, as computed: an answer on the limit is not accepted
        verdict = jnp.where(novelty > limits[1], NOT_A_DIGIT, uncertain)
        verdict = jnp.where(jnp.isfinite(confidence + novelty), verdict, jnp.nan)
        others = jnp.stack([certainty, novelty, mean_ink(ink), confidence, digit, verdict], axis=1)
        return jnp.concatenate([probabilities, others], axis=1)  # [n, 16]

    return columns


def _largest(x: jax.Array) -> jax.Array:
    """The largest of each row, [n, m] -> [n]; as a minimum, because `max` would slow the network down.

    XLA would share the constant -inf, with which a maximum begins, between this one and the network's max pooling, and
    then fuse the pooling with the convolutions less well (64 pictures, LeNet: 2,360 us instead of 2,000).
    """
    return -(-x).min(axis=1)


def _softmax(x: jax.Array) -> jax.Array:
    """Softmax along the rows, [n, m] -> [n, m]."""
    powers = jnp.exp(x - _largest(x)[:, None])
    return powers / powers.sum(axis=1, keepdims=True)
