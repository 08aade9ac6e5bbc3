"""Retraining: the champion is fine-tuned on corrections, and the challenger is promoted if it passes the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from training.data.split import split
from training.errors import DigitsError
from training.evaluation import latency
from training.evaluation.reliability import reliability
from training.evaluation.scores import predict
from training.filesystem import replace_file
from training.fitting.job import make_card
from training.fitting.loop import before_first_epoch, fit
from training.network.compiled import CompiledNetwork
from training.retraining import gate
from training.retraining.gate import Decision
from training.retraining.selection import Counts, Selection, select
from training.store import CHAMPION, card

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.evaluation.latency import Network
    from training.fitting.loop import Watch
    from training.images import Images
    from training.network.module import Params
    from training.recipe import Recipe
    from training.retraining.limits import Limits
    from training.store import Store
    from training.store.card import Card

EPOCHS, LEARNING_RATE, WARMUP_EPOCHS = 3, 5e-4, 0.2
"""Fine-tuning is short, with small steps, against forgetting."""
SHARE = 0.1
"""Share of corrections among the pictures of an epoch, 0…1: they are repeated, each copy with its own distortion."""
MOST_COPIES = 10
"""Maximum number of copies of a correction, against overfitting."""


class OtherDigits(DigitsError):
    """The champion was trained on other digits than those given, so no digits are known to be held out from it."""


class Watching(Protocol):
    """Opens a `Watch` for training by a recipe on a number of images in each epoch."""

    def __call__(self, recipe: Recipe, images: int, /) -> AbstractContextManager[Watch]: ...


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The content of decision.json."""

    model: str
    champion: int
    """The version that was the champion, and that the challenger started from."""
    challenger: int | None
    """The version that the gate judged; None if none was published."""
    decision: Decision
    corrections: Counts
    data_sha256: str
    """Fingerprint of digits and selected corrections; with the champion and the limits it determines the decision."""
    limits: dict[str, float]


class Trained(NamedTuple):
    """A card and weights, published or not."""

    card: Card
    params: Params


def retrain(
    store: Store,
    model: str,
    digits: Digits,
    images: Images,
    labels: NDArray[np.uint8],
    *,
    limits: Limits,
    source: str,
    watching: Watching,
    dry_run: bool = False,
    promote: bool = True,
    decision_file: Path | None = None,
    timed: Callable[[Network, Network, Images], tuple[float, float]] = latency.p99_s,
) -> Report:
    """Fine-tunes the champion of a model on corrections, and promotes the result if it passes the gate.

    `digits` are those that the champion was trained on; no version was trained on the validation images among them.
    From the corrections, `images` uint8 [n, 28, 28] with `labels` uint8 [n] in 0…9, n >= 0, `select` chooses. With too
    few of them the champion is kept and nothing is trained. The outcome is a function of the champion, the digits, the
    corrections and the limits alone, except for the measured latencies.

    A version that does not pass is published for inspection, but it gets no alias and does not count as the latest, so
    that no service gives it traffic. A version that passes becomes the champion, or without `promote` the challenger.
    Before that the decision is written to the store, and to `decision_file` if given. A `dry_run` leaves the store
    unchanged.

    Raises UnknownModel, UnknownVersion, CorruptVersion, Diverged, OtherDigits, and AliasMoved when another version has
    become the champion meanwhile: then nothing is promoted.
    """
    champion = store.resolve(model, CHAMPION)
    before = Trained(*store.load(model, champion))
    if before.card.digits_sha256 != digits.sha256:
        raise OtherDigits(
            f"version {champion} of {model} was trained on {before.card.data.source} (SHA-256 "
            f"{before.card.digits_sha256[:12]}…), want a champion trained on {source} ({digits.sha256[:12]}…): "
            "of other digits, none can be held out from it"
        )
    selection = select(images, labels, digits)
    counts = selection.counts
    training, validation = split(digits, before.card.recipe.validation_images)
    data = card.Data(
        source=f"{source} and corrections",
        sha256=selection.appended_to(digits).sha256,
        training_images=len(training) + counts.training,
        validation_images=len(validation),
    )
    version = None
    counted = gate.enough(counts.held_out, limits)
    if counted.passed:
        retrained = card.Retrained(champion, digits.sha256, counts.training, counts.held_out)
        after = _trained(before, selection, training, validation, data, retrained, watching)
        decision = _judged(before, after, validation, selection.held_out_digits, limits, timed)
        if not dry_run:
            version = store.publish(after.card, after.params)
    else:
        decision = Decision.by(counted)
    report = Report(
        model=model,
        champion=champion,
        challenger=version,
        decision=decision,
        corrections=counts,
        data_sha256=data.sha256,
        limits=limits.model_dump(),
    )
    content = msgspec.json.format(msgspec.json.encode(report))
    if version is not None:
        store.keep_decision(model, version, content)
    if decision_file is not None:
        decision_file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(decision_file, content)
    if version is not None and decision.passed:
        why = f"passed the gate with {counts.training} corrections on top of version {champion}"
        if promote:
            store.promote(model, version, why=why, instead_of=champion)
        else:
            store.challenge(model, version, why=why)
    return report


def retraining_recipe(recipe: Recipe) -> Recipe:
    """The recipe for fine-tuning a version that was trained by `recipe`: few epochs, small steps, from labels."""
    return recipe.changed(epochs=EPOCHS, learning_rate=LEARNING_RATE, warmup_epochs=WARMUP_EPOCHS, teacher=None)


def _trained(
    champion: Trained,
    selection: Selection,
    training: Digits,
    validation: Digits,
    data: card.Data,
    retrained: card.Retrained,
    watching: Watching,
) -> Trained:
    """The champion fine-tuned on the training corrections, mixed with the digits that it was trained on."""
    layers, recipe = champion.card.layers, retraining_recipe(champion.card.recipe)
    copies = round(SHARE * len(training) / max(1, retrained.corrections))
    learned = selection.learned_with(training, copies=min(max(1, copies), MOST_COPIES))
    start = before_first_epoch(layers, recipe, champion.params)
    with watching(recipe, len(learned)) as watch:
        *_, last = fit(layers, recipe, learned, validation, start, watch)
    written = make_card(champion.card.model, layers, recipe, data, last, learned, validation, retrained=retrained)
    return Trained(written, last.state.average)


def _judged(
    before: Trained,
    after: Trained,
    digits: Digits,
    corrections: Digits,
    limits: Limits,
    timed: Callable[[Network, Network, Images], tuple[float, float]],
) -> Decision:
    """The gate's decision by the answers of both versions to digits and corrections held out from both."""
    networks = [
        CompiledNetwork(of.card.layers, of.params, temperature=of.card.calibration.temperature)
        for of in (before, after)
    ]
    on_digits = [predict(network, digits) for network in networks]
    on_corrections = [predict(network, corrections) for network in networks]
    labels = np.concatenate([digits.labels, corrections.labels])
    calibration = (
        reliability(np.concatenate(both), labels).error for both in zip(on_digits, on_corrections, strict=True)
    )
    return gate.decide(
        gate.PairedAnswers(digits.labels, *(probabilities.argmax(axis=1) for probabilities in on_digits)),
        gate.PairedAnswers(corrections.labels, *(probabilities.argmax(axis=1) for probabilities in on_corrections)),
        on_corrections[0].max(axis=1),
        gate.PairedFigure(*calibration),
        gate.PairedFigure(*timed(networks[0], networks[1], digits.images[:1])),
        limits,
    )
