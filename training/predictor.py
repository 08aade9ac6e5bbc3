"""A loaded version, ready to answer: the one door to a network for the service and for `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from training.answers import EVERYTHING, NOVELTY, Answers
from training.images import CLASSES
from training.network.compile_cache import keep_compiled as keep_compiled
from training.network.compile_cache import on_compilation as on_compilation
from training.network.compiled import ROW_SIZES, CompiledNetwork
from training.network.compiled import compute_alone as compute_alone
from training.store import CHAMPION
from training.store.manifest import CorruptVersion
from training.uncertainty.novelty import NOWHERE
from training.uncertainty.rejection import prediction_sets, uncalibrated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.drift import Reference
    from training.images import Images
    from training.store import Store
    from training.store.card import Card

GOLDEN_TOLERANCE = 1e-3
"""How far a probability, or a novelty in relation to its size, may be from the one on the card.

Processors differ by about 1e-6.
"""


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
        network = CompiledNetwork(
            card.layers,
            params,
            temperature=card.calibration.temperature,
            distance=card.trust.novelty.distance if card.trust else NOWHERE,
            limits=card.trust.limits if card.trust else EVERYTHING,
            row_sizes=row_sizes,
        )
        predictor = cls(model, number, card, network)
        predictor.check_golden()
        return predictor

    @property
    def reference(self) -> Reference | None:
        """What drift is measured against, if the card has it."""
        return self.card.trust.reference if self.card.trust else None

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

    def columns(self, images: Images) -> NDArray[np.float32]:
        """All that is computed of images uint8 [n, 28, 28], n >= 1: float32 [n, 16], for `read`."""
        return self._network.columns(images)

    def read(self, columns: NDArray[np.float32]) -> Answers:
        """Columns [n, 16] as answers. The version's card decides which of them are accepted, if it says so."""
        return Answers(columns, judged=self.card.trust is not None)

    def prediction_sets(self, probabilities: NDArray[np.float32], coverage: float) -> NDArray[np.bool_] | None:
        """Which digits are in the sets of pictures by their probabilities [n, 10]: [n, 10]; 0.9 <= coverage < 1.

        With the probability of the coverage, the right digit is in the set. None where the card says nothing of sets.
        """
        if self.card.trust is None:
            return None
        plain = uncalibrated(probabilities, self.card.calibration.temperature)
        return prediction_sets(plain, self.card.trust.sets.limit(coverage))

    def check_golden(self) -> None:
        """Raises CorruptVersion unless the golden pictures get what they got when the version was published."""
        golden = self.card.golden
        columns = self.columns(golden.images)
        off = float(np.abs(columns[:, :CLASSES] - np.asarray(golden.probabilities, np.float32)).max())
        self._check_golden("probability", off)
        if golden.novelty:
            wanted = np.asarray(golden.novelty, np.float32)
            self._check_golden("novelty", float((np.abs(columns[:, NOVELTY] - wanted) / (1 + np.abs(wanted))).max()))

    def _check_golden(self, what: str, off: float) -> None:
        if not off <= GOLDEN_TOLERANCE:
            raise CorruptVersion(
                f"{self.name} version {self.version} does not answer as it did when it was published: "
                f"a golden {what} is off by {off:.2g}, want at most {GOLDEN_TOLERANCE:g}"
            )
