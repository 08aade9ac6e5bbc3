"""A training job: from digits to a published version, with teachers, resumption and calibration."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from training.data.digits import DataError
from training.data.split import split
from training.distributed import checkpoint
from training.distributed.processes import check_same, is_first, noticing_lost_peers, wait_for_all
from training.evaluation.scores import columns, score
from training.fitting import provenance
from training.fitting.calibration import distance_from, fit_temperature, fit_trust
from training.fitting.loop import before_first_epoch, compile_logits, fit
from training.fitting.outlier_exposure import with_head
from training.fitting.run_checkpoints import Run
from training.images import CLASSES
from training.network.compiled import CompiledNetwork
from training.network.layers import count_weights
from training.store import card
from training.store.card import Card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from training.data.digits import Digits
    from training.fitting.loop import Epoch, Watch
    from training.network.layers import Layers
    from training.network.module import Params
    from training.recipe import Recipe
    from training.store import Store

RUNS, TEACHERS = ".runs", ".teachers"
TEACHER = "teacher"
GOLDEN_IMAGES = 16


class Watching(Protocol):
    """Opens a `Watch` for the training of a model by a recipe."""

    def __call__(self, model: str, recipe: Recipe, /) -> AbstractContextManager[Watch]: ...


class Published(NamedTuple):
    """A version in the store, with its card."""

    version: int
    card: Card


@noticing_lost_peers()
def run(
    store: Store,
    model: str,
    layers: Layers,
    recipe: Recipe,
    digits: Digits,
    *,
    source: str,
    resume: bool,
    watching: Watching,
) -> Published | None:
    """Trains a network on digits and publishes it in the store under a model's name.

    If the recipe has teachers, they are trained before it, unless the store has them from an earlier job. With `resume`
    training goes on from the last epoch of an interrupted run of the same layers, recipe and digits, if there is one.
    Where several processes train together, all of them call this alike; only the first one publishes, and the other
    ones return None after that. Raises DataError for digits of one class alone, RunBusy while another job trains just
    the same, and PeerLost.
    """
    store.aliases(model)  # a name that cannot be published is refused now and not after an hour
    if len(digits.missing) == CLASSES - 1:
        raise DataError(f"all {len(digits)} digits are {digits.labels[0]}, want at least two classes")
    check_same("network, recipe or data", msgspec.json.encode([model, layers, recipe, digits.sha256]))
    training, validation = split(digits, recipe.validation_images)
    recipe = recipe.changed(validation_images=len(validation))
    data = card.Data(source, digits.sha256, len(training), len(validation))
    teachers = list(_teachers(store, recipe, digits, source=source, watching=watching))
    seconds_before = sum(teacher.training_seconds for teacher, _ in teachers)
    networks = [(teacher.layers, params) for teacher, params in teachers]
    with Run.open(store.path / RUNS, layers, recipe, digits.sha256, resume=resume) as checkpoints:
        epoch = before_first_epoch(layers, recipe)
        if checkpoints.epochs:
            epoch = checkpoints.load(like=epoch.state)
        with watching(model, recipe) as watch:
            for epoch in fit(layers, recipe, training, validation, epoch, watch, networks):  # noqa: B020 - each follows from the one before
                checkpoints.save(epoch)
        published = None
        if is_first():
            written = make_card(model, layers, recipe, data, epoch, training, validation, seconds_before=seconds_before)
            published = Published(store.publish(written, epoch.state.average), written)
        else:
            checkpoint.save(None, epoch.state.average)  # the other processes take part in what the first one publishes
        checkpoints.remove()
    wait_for_all("published")
    return published


def _teachers(
    store: Store, recipe: Recipe, digits: Digits, *, source: str, watching: Watching
) -> Iterator[tuple[Card, Params]]:
    """The recipe's teachers with their weights, trained or found in TEACHERS, where no service looks for models."""
    if recipe.teacher is None:
        return
    kept = store.within(TEACHERS)
    layers = recipe.teacher.layers
    for seed in range(recipe.teacher.networks):
        its_recipe = recipe.teacher.recipe.changed(seed=seed, validation_images=recipe.validation_images)
        if not _versions_of(kept, layers, its_recipe, digits):
            run(kept, TEACHER, layers, its_recipe, digits, source=source, resume=True, watching=watching)
        yield kept.load(TEACHER, _versions_of(kept, layers, its_recipe, digits)[0])


def _versions_of(kept: Store, layers: Layers, recipe: Recipe, digits: Digits) -> list[int]:
    """The versions of the teacher with these layers, recipe and digits."""
    cards = {version: kept.card(TEACHER, version) for version in kept.versions(TEACHER)} if kept.models() else {}
    wanted = (layers, recipe, digits.sha256)
    return [version for version, card in cards.items() if (card.layers, card.recipe, card.data.sha256) == wanted]


def make_card(
    model: str,
    layers: Layers,
    recipe: Recipe,
    data: card.Data,
    epoch: Epoch,
    training: Digits,
    validation: Digits,
    *,
    seconds_before: float = 0.0,
    retrained: card.Retrained | None = None,
) -> Card:
    """The card of a network that was trained until `epoch`, calibrated and scored on the validation digits.

    `seconds_before` is the training time of its teachers.
    """
    params = epoch.state.average
    logits = compile_logits(layers)(params, validation)
    calibration = fit_temperature(logits, validation.labels)
    distance = distance_from(layers, params, training, recipe.distortion)
    detector = with_head(layers, params, distance, training, recipe.seed)
    network = CompiledNetwork(layers, params, temperature=calibration.temperature, detector=detector)
    computed = columns(network, validation)
    return Card(
        model=model,
        layers=layers,
        weights=count_weights(layers),
        recipe=recipe,
        data=data,
        created=datetime.datetime.now(datetime.UTC),
        code=provenance.code(),
        libraries=provenance.libraries(),
        device=provenance.device(),
        training_seconds=seconds_before + sum(row.seconds for row in epoch.history),
        history=epoch.history,
        validation=score(computed[:, :CLASSES], validation.labels),
        calibration=calibration,
        trust=fit_trust(logits, computed, validation.labels, detector),
        golden=card.golden(validation.images[:GOLDEN_IMAGES], computed[:GOLDEN_IMAGES]),
        retrained=retrained,
    )
