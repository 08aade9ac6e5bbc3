"""A loaded version, ready to answer: the one door to a network for the service and for `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from training.compile_cache import keep_compiled as keep_compiled
from training.compile_cache import on_compilation as on_compilation
from training.compiled import ROW_SIZES, CompiledNetwork
from training.compiled import compute_in_place as compute_in_place
from training.manifest import CorruptVersion
from training.store import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.card import Card
    from training.images import Images
    from training.store import Store

GOLDEN_TOLERANCE = 1e-3
"""How far a probability may be from the one on the card; processors differ by about 1e-6."""


class Predictor:
    """One version of a model with its card. Safe to share between threads.

    Its name is the one that the store has it under, whatever the card says: people copy models.
    """

    def __init__(self, name: str, version: int, card: Card, network: CompiledNetwork) -> None:
        self.name = name
        self.version = version
        self.card = card
        self._network = network

    @classmethod
    def load(
        cls, store: Store, model: str, version: int | str = CHAMPION, *, row_sizes: Sequence[int] = ROW_SIZES
    ) -> Self:
        """The predictor of a version in the store, every size of batch compiled.

        Raises UnknownModel, UnknownVersion, and CorruptVersion when a file differs from the manifest or when the golden
        predictions on the card do not come out again.
        """
        number = store.resolve(model, version)
        card, params = store.load(model, number)
        network = CompiledNetwork(card.layers, params, temperature=card.calibration.temperature, row_sizes=row_sizes)
        predictor = cls(model, number, card, network)
        predictor.check_golden()
        return predictor

    @property
    def row_sizes(self) -> tuple[int, ...]:
        """The compiled sizes of batches, ascending."""
        return self._network.row_sizes

    def padded(self, rows: int) -> int:
        """The compiled size that a batch of so many rows is filled up to."""
        return self._network.padded(rows)

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Probabilities float32 [n, 10] for images uint8 [n, 28, 28], n >= 1."""
        return self._network(images)

    def check_golden(self) -> None:
        """Raises CorruptVersion unless the golden pictures get the probabilities they got when published."""
        wanted = np.asarray(self.card.golden.probabilities, np.float32)
        off = float(np.abs(self(self.card.golden.images) - wanted).max())
        if not off <= GOLDEN_TOLERANCE:
            raise CorruptVersion(
                f"{self.name} version {self.version} does not answer as it did when it was published: "
                f"a golden probability is off by {off:.2g}, want at most {GOLDEN_TOLERANCE:g}"
            )
