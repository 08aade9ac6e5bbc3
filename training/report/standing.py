"""A row of the leaderboard."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec

from training.evaluation.scores import predict, score, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.data.digits import Digits
    from training.evaluation.baselines import Baseline
    from training.store.card import Card, Metrics


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A network over its seeds, or a baseline; the figures are means over the seeds.

    A baseline has no versions; `weights` is None for a forest, which has none.
    """

    model: str
    versions: tuple[int, ...]
    """One for each seed."""
    seeds: tuple[int, ...]
    images: int
    """Number of test images; every seed answered all of them."""
    errors: tuple[int, ...]
    """Wrong answers of each seed."""
    error: float
    """Wrong answers / images, 0…1."""
    interval: tuple[float, float]
    """The 95 % confidence interval of `error` for one test of `images` pictures (Wilson 1927).

    All seeds answered the same pictures and misread much the same ones, so several seeds are not several tests: pooling
    their answers, 30,000 for three seeds, would make the interval too narrow. An image counts with the share of the
    seeds that misread it, and these shares vary at most as much as the errors of one network with the same mean. The
    interval of such a network is therefore wide enough, and exact if all seeds misread the same images. It covers the
    choice of test pictures; the lowest and the highest error show the effect of the seed.
    """
    log_loss: float
    weights: int | None
    training_seconds: float
    device: str

    @property
    def label(self) -> str:
        """The name that is shown: a network's name in the store, a baseline's in words."""
        return self.model if self.versions else self.model.replace("_", " ")

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest error of a seed, 0…1."""
        return min(self.errors) / self.images, max(self.errors) / self.images


def standing(tested: Sequence[tuple[int, Card, Metrics]]) -> Standing:
    """The row of versions of one setup, each with its card and its metrics on the same digits."""
    versions, cards, metrics = zip(*tested, strict=True)
    return Standing(
        model=cards[0].model,
        versions=versions,
        seeds=tuple(card.recipe.seed for card in cards),
        **_means(metrics),
        weights=cards[0].weights,
        training_seconds=fmean(card.training_seconds for card in cards),
        device=", ".join(dict.fromkeys(card.device for card in cards)),
    )


def baseline_standing(baseline: Baseline, digits: Digits) -> Standing:
    """The row of a model of scikit-learn, scored on `digits` as the networks are."""
    return Standing(
        model=baseline.name,
        versions=(),
        seeds=(baseline.seed,),
        **_means([score(predict(baseline, digits), digits.labels)]),
        weights=baseline.weights,
        training_seconds=baseline.fit_seconds,
        device="scikit-learn",
    )


def _means(metrics: Sequence[Metrics]) -> dict[str, Any]:
    images, errors = metrics[0].images, tuple(of.errors for of in metrics)
    return {
        "images": images,
        "errors": errors,
        "error": fmean(errors) / images,
        "interval": wilson(fmean(errors), images),
        "log_loss": fmean(of.log_loss for of in metrics),
    }
