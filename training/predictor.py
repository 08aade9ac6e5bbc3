"""The predictor: a loaded version that answers pictures, the same for the service and for `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from training.answers import EVERYTHING, NOVELTY, Answers
from training.images import CLASSES
from training.network.compile_cache import keep_compiled as keep_compiled
from training.network.compile_cache import on_compilation as on_compilation
from training.network.compiled import ROW_SIZES, CompiledNetwork
from training.network.compiled import Threads as Threads
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
    from training.store.card import Card, Golden

GOLDEN_TOLERANCE = 1e-3
"""Maximum difference from a probability on the card, absolute, and from a novelty on the card, relative.

Processors differ by about 1e-6.
"""


class Predictor:
    """One version of a model with its card. Thread-safe.

    Its name is that of its folder in the store, whatever the card says: people copy models.
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
        """The predictor of a version in the store, compiled for every size of batch.

        Raises UnknownModel, UnknownVersion, and CorruptVersion when a file differs from the manifest or an answer from
        the golden predictions on the card.
        """
        number = store.resolve(model, version)
        card, params = store.load(model, number)
        network = CompiledNetwork(
            card.layers,
            params,
            temperature=card.calibration.temperature,
            detector=card.trust.novelty.detector if card.trust else NOWHERE,
            limits=card.trust.limits if card.trust else EVERYTHING,
            row_sizes=row_sizes,
        )
        predictor = cls(model, number, card, network)
        predictor.check_golden()
        return predictor

    @property
    def reference(self) -> Reference | None:
        """The histograms that drift is measured against; None if the card has none."""
        return self.card.trust.reference if self.card.trust else None

    @property
    def row_sizes(self) -> tuple[int, ...]:
        """The compiled sizes of batches, ascending."""
        return self._network.row_sizes

    def padded(self, rows: int) -> int:
        """The compiled batch size that so many rows are padded to."""
        return self._network.padded(rows)

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Probabilities float32 [n, 10] for images uint8 [n, 28, 28], n >= 1."""
        return self._network(images)

    def columns(self, images: Images) -> NDArray[np.float32]:
        """Columns float32 [n, 16] (`training.answers`) for images uint8 [n, 28, 28], n >= 1; `read` reads them."""
        return self._network.columns(images)

    def read(self, columns: NDArray[np.float32]) -> Answers:
        """Columns [n, 16] as answers; they have verdicts if the version's card has limits."""
        return Answers(columns, judged=self.card.trust is not None)

    def prediction_sets(self, probabilities: NDArray[np.float32], coverage: float) -> NDArray[np.bool_] | None:
        """Prediction sets: bool [n, 10], which digits are in the sets of pictures with probabilities [n, 10].

        With a probability of at least `coverage`, 0.9 <= coverage < 1, the right digit is in the set (split conformal).
        None where the card has no thresholds.
        """
        if self.card.trust is None:
            return None
        plain = uncalibrated(probabilities, self.card.calibration.temperature)
        return prediction_sets(plain, self.card.trust.sets.limit(coverage))

    def check_golden(self) -> None:
        """Raises CorruptVersion unless the golden pictures get the answers that they got when it was published."""
        columns = self.columns(self.card.golden.images)
        if problem := off_golden(self.card.golden, columns[:, :CLASSES], columns[:, NOVELTY]):
            raise CorruptVersion(
                f"{self.name} version {self.version} does not answer as it did when it was published: {problem}"
            )


def off_golden(golden: Golden, probabilities: NDArray[np.float32], novelty: NDArray[np.float32] | None) -> str | None:
    """What of the answers to the golden pictures is too far from those on the card; None: nothing is.

    Probabilities are [n, 10]; novelty is [n], or None where it is not computed.
    """
    off = {"probability": np.abs(probabilities - np.asarray(golden.probabilities, np.float32)).max()}
    if golden.novelty and novelty is not None:
        wanted = np.asarray(golden.novelty, np.float32)
        off["novelty"] = (np.abs(novelty - wanted) / (1 + np.abs(wanted))).max()
    for what, by in off.items():
        if not by <= GOLDEN_TOLERANCE:  # NaN compares false
            return f"a golden {what} is off by {by:.2g}, want at most {GOLDEN_TOLERANCE:g}"
    return None
