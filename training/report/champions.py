"""The champions of a store, each with its answers to the test digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.evaluation.scores import predict, score
from training.evaluation.trust import Measured, as_pictures
from training.predictor import Predictor
from training.store.manifest import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.store import Store
    from training.store.card import Card, Metrics

ROW_SIZES = (256,)  # throughput counts here and not latency, so one size is compiled and not seven


@dataclass(frozen=True, eq=False)
class Champion:
    """The live version of a model: its card, its probabilities float32 [n, 10], and their metrics."""

    card: Card
    version: int
    probabilities: NDArray[np.float32]
    metrics: Metrics
    measured: Measured | None = None
    """The figures of trust; None if the card has no limits."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.model


def champions(store: Store, digits: Digits, watch: Callable[[str], object] = lambda _: None) -> list[Champion]:
    """The champion of every model with its answers to `digits`, the lowest error first.

    `watch` is called with the name of each model before it is loaded. Raises StoreError for an empty store, and
    CorruptVersion as `Predictor.load`: a leaderboard without the versions that do not load would mislead.
    """
    found = []
    pictures: dict[str, Digits] = {}
    for name in names(store):
        watch(name)
        predictor = Predictor.load(store, name, row_sizes=ROW_SIZES)
        probabilities = predict(predictor, digits)
        metrics = score(probabilities, digits.labels)
        measured = None
        if predictor.card.trust:
            pictures = pictures or as_pictures(digits)
            measured = Measured.of(predictor, digits, pictures)
        found.append(Champion(predictor.card, predictor.version, probabilities, metrics, measured))
    return sorted(found, key=lambda champion: (champion.metrics.errors, champion.metrics.log_loss))


def names(store: Store) -> list[str]:
    """Names of the models in a store. Raises StoreError when there is none."""
    if not (found := store.models()):
        raise StoreError(f"the store {store.location} is empty; fill it with python -m training fit lenet --quick")
    return found
