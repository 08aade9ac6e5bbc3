"""A standing: a row of the leaderboard."""

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
    """A network over the seeds that it was trained with, or a baseline; the figures are means over the seeds.

    A baseline has no versions, and where that means nothing, no weights: they are None.
    """

    model: str
    versions: tuple[int, ...]
    """One for each seed."""
    seeds: tuple[int, ...]
    images: int
    """How many the test has; every seed answered all of them."""
    errors: tuple[int, ...]
    """Wrong answers of each seed."""
    error: float
    """Wrong answers / images, 0…1."""
    interval: tuple[float, float]
    """The 95 % interval of `error` that one test of `images` pictures gives (Wilson 1927).

    All seeds answered the same pictures and err on much the same ones, so several seeds are not several tests: counting
    their answers together, 30,000 of them for three seeds, would make the interval narrower than the test allows. An
    image counts with the share of the seeds that misread it, and shares vary from image to image at most as much as
    errors of one network with the same mean would. The interval of such a network therefore is wide enough, and right
    if all seeds misread the same images. It tells what other pictures would do to these networks; what another seed
    would do, the lowest and the highest error tell.
    """
    log_loss: float
    weights: int | None
    training_seconds: float
    device: str

    @property
    def label(self) -> str:
        """What people call it: a network by its name in the store, a baseline in words."""
        return self.model if self.versions else self.model.replace("_", " ")

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest error of a seed, 0…1."""
        return min(self.errors) / self.images, max(self.errors) / self.images


def standing(tested: Sequence[tuple[int, Card, Metrics]]) -> Standing:
    """The row of versions of one setup, each with its card and how it did on the same digits."""
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
    """The row of a model of scikit-learn, measured on `digits` as the networks are."""
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
