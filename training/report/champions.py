"""The champions of a store, each with its answers to digits it has never seen; and the leaderboard of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from training.evaluate import predict, score
from training.manifest import StoreError
from training.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from training.baselines import Baseline
    from training.card import Card, Metrics
    from training.data.digits import Digits
    from training.store import Store

ROW_SIZES = (256,)  # nobody waits for a single answer here, so one size is compiled and not seven


@dataclass(frozen=True, eq=False)
class Champion:
    """The live version of a model: its card, its answers float32 [n, 10], and what they came to."""

    card: Card
    version: int
    probabilities: NDArray[np.float32]
    metrics: Metrics

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.model


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the leaderboard. A baseline has no version, and where that means nothing, no weights: they are None."""

    model: str
    version: int | None
    images: int
    errors: int
    error: float
    """errors / images, 0…1."""
    interval: tuple[float, float]
    """The 95 % interval of the error (Wilson 1927)."""
    log_loss: float
    weights: int | None
    training_seconds: float
    seed: int
    device: str

    @property
    def label(self) -> str:
        """What people call it: a network by its name in the store, a baseline in words."""
        return self.model.replace("_", " ") if self.version is None else self.model


def champions(store: Store, digits: Digits, watch: Callable[[str], object] = lambda _: None) -> list[Champion]:
    """The champion of every model with its answers to `digits`, the lowest error first.

    `watch` is told the name of each model before it is loaded. Raises StoreError for an empty store, and CorruptVersion
    as `Predictor.load` does: a leaderboard that leaves out what it cannot load would be a lie.
    """
    if not (names := store.models()):
        raise StoreError(f"the store {store.path} is empty; fill it with python -m training fit lenet")
    found = []
    for name in names:
        watch(name)
        predictor = Predictor.load(store, name, row_sizes=ROW_SIZES)
        probabilities = predict(predictor, digits)
        metrics = score(probabilities, digits.labels)
        found.append(Champion(predictor.card, predictor.version, probabilities, metrics))
    return sorted(found, key=lambda champion: (champion.metrics.errors, champion.metrics.log_loss))


def standing(champion: Champion) -> Standing:
    """The row of a champion."""
    card = champion.card
    return Standing(
        model=card.model,
        version=champion.version,
        **msgspec.structs.asdict(champion.metrics),
        weights=card.weights,
        training_seconds=card.training_seconds,
        seed=card.recipe.seed,
        device=card.device,
    )


def baseline_standing(baseline: Baseline, digits: Digits) -> Standing:
    """The row of a model of scikit-learn, measured on `digits` as the champions are."""
    return Standing(
        model=baseline.name,
        version=None,
        **msgspec.structs.asdict(score(predict(baseline, digits), digits.labels)),
        weights=baseline.weights,
        training_seconds=baseline.fit_seconds,
        seed=baseline.seed,
        device="scikit-learn",
    )


def leaderboard(standings: Iterable[Standing]) -> list[Standing]:
    """The rows, the lowest error first; among equals the one with the lowest log-loss."""
    return sorted(standings, key=lambda row: (row.error, row.log_loss))
