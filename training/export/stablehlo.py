"""A version as StableHLO, by `jax.export`: for JAX without this package, and for XLA without Python."""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np

try:
    import flatbuffers  # noqa: F401 - jax.export serialises with it
except ImportError as error:
    raise ImportError("export to StableHLO wants the package flatbuffers: python -m pip install flatbuffers") from error

from training.answers import EVERYTHING
from training.export.outputs import NOT_FINITE, OUTPUTS, WHOLE, names
from training.images import SIDE
from training.network.compiled import columns_function
from training.uncertainty.novelty import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from training.images import Images
    from training.network.module import Params
    from training.store.card import Card

PLATFORMS: Final = ("cpu", "cuda", "tpu")
LOCATIONS: Final = "jax_traceback_in_locations_limit"


def build(card: Card, params: Params, said: dict[str, str]) -> bytes:
    """The version as `jax.export.deserialize` reads it, for any number of pictures.

    What that gives has the outputs by name from its `call`, portable StableHLO in its `mlir_module_serialized`, and
    `said` as JSON in its `fun_name`: the format has no other place for metadata.
    """
    columns = columns_function(card.layers)
    temperature = np.float32(card.calibration.temperature)
    detector, limits = (card.trust.novelty.detector, card.trust.limits) if card.trust else (NOWHERE, EVERYTHING)
    compared = np.array(limits, np.float32)

    def outputs(images: jax.Array) -> dict[str, jax.Array]:
        found = columns(params, temperature, detector, compared, images)
        return {name: _output(name, found) for name in names(card)}

    pictures = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("n"), SIDE, SIDE), np.uint8)
    with _no_locations():
        exported = jax.export.export(jax.jit(outputs), platforms=PLATFORMS)(pictures)
    return bytes(dataclasses.replace(exported, fun_name=json.dumps(said)).serialize())


def run(content: bytes, images: Images) -> dict[str, NDArray[Any]]:
    """The outputs of a file's content for images uint8 [n, 28, 28]."""
    found = jax.export.deserialize(bytearray(content)).call(images)
    return {name: np.asarray(values) for name, values in found.items()}


@contextmanager
def _no_locations() -> Iterator[None]:
    """What is lowered inside the block does not name the files of this machine, and is the same wherever it is."""
    before = jax.config.values[LOCATIONS]
    jax.config.update(LOCATIONS, 0)
    try:
        yield
    finally:
        jax.config.update(LOCATIONS, before)


def _output(name: str, columns: jax.Array) -> jax.Array:
    values = columns[:, OUTPUTS[name]]
    return jax.numpy.nan_to_num(values, nan=NOT_FINITE).astype(np.int32) if name in WHOLE else values
