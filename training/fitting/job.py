"""A training job: from pictures to a published version."""

from __future__ import annotations

import datetime
from contextlib import nullcontext
from math import nan
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from training.data.split import split
from training.distributed import parallel
from training.evaluation.scores import columns, score
from training.fitting import provenance
from training.fitting.calibration import distance_from, fit_temperature, fit_trust
from training.fitting.loop import Epoch, before_first_epoch, compile_logits, fit
from training.fitting.run_checkpoints import Run
from training.images import CLASSES
from training.network.compiled import CompiledNetwork
from training.network.layers import count_weights
from training.store import Store, card
from training.store.card import Card, EpochRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from training.data.digits import Digits
    from training.fitting.loop import Watch
    from training.network.layers import Layers
    from training.network.module import Params
    from training.recipe import Recipe

RUNS, TEACHERS = ".runs", ".teachers"
TEACHER = "teacher"
UNKNOWN = EpochRow(epoch=0, loss=nan, validation_error=nan, images_per_s=nan, seconds=nan)
"""An epoch before the job was resumed, for a process that publishes nothing."""
GOLDEN_IMAGES = 16


class Watching(Protocol):
    """Gives a `Watch` for the training of a network by a recipe, for as long as that takes."""

    def __call__(self, model: str, recipe: Recipe, /) -> AbstractContextManager[Watch]: ...


class Published(NamedTuple):
    """What a job leaves behind."""

    version: int
    card: Card


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
    it goes on from the last epoch of an interrupted run of the same layers, recipe and digits, if there is one. Raises
    RunBusy while another job is at just that. Where several processes train together, only the first one gets what was
    published; the others get None, when that is done.
    """
    store.aliases(model)  # a name that cannot be published is refused now and not after an hour
    parallel.check_same("network, recipe or data", msgspec.json.encode([model, layers, recipe, digits.sha256]))
    training, validation = split(digits, recipe.validation_images)
    published = None
    runs = store.path / RUNS
    first = parallel.is_first()
    teachers = list(_teachers(store, recipe, digits, source=source, watching=watching))
    with Run.open(runs, layers, recipe, digits.sha256, resume=resume) if first else nullcontext() as saved:
        epoch = before_first_epoch(layers, recipe)
        if epochs := int(parallel.from_first(np.int32(saved.epochs if saved else 0))):
            epoch = saved.load(epoch.state) if saved else Epoch(parallel.load(None, epoch.state), (UNKNOWN,) * epochs)
        networks = [(teacher.layers, params) for teacher, params in teachers]
        with watching(model, recipe) as watch:
            for epoch in fit(layers, recipe, training, validation, epoch, watch, networks):  # noqa: B020 - each follows from the one before
                if saved:
                    saved.save(epoch)
                else:
                    parallel.save(None, epoch.state)
        if saved:
            data = card.Data(source, digits.sha256, len(training), len(validation))
            before = sum(teacher.training_seconds for teacher, _ in teachers)
            written = make_card(model, layers, recipe, data, epoch, training, validation, seconds_before=before)
            published = Published(store.publish(written, epoch.state.average), written)
            saved.remove()
        else:
            parallel.save(None, epoch.state.average)
    parallel.wait_for_all("published")
    return published


def _teachers(
    store: Store, recipe: Recipe, digits: Digits, *, source: str, watching: Watching
) -> Iterator[tuple[Card, Params]]:
    """The recipe's teachers with their weights, trained now or found; kept where no service looks for models."""
    if recipe.teacher is None:
        return
    kept = Store(store.path / TEACHERS)
    for seed in range(recipe.teacher.networks):
        its_recipe = recipe.teacher.recipe.changed(seed=seed, validation_images=recipe.validation_images)
        wanted = (recipe.teacher.layers, its_recipe, digits.sha256)
        cards = ((version, kept.card(TEACHER, version)) for version in kept.versions(TEACHER)) if kept.models() else ()
        version = next((v for v, c in cards if (c.layers, c.recipe, c.data.sha256) == wanted), 0)
        if not version:
            published = run(kept, TEACHER, *wanted[:2], digits, source=source, resume=True, watching=watching)
            version = kept.versions(TEACHER)[-1] if published is None else published.version
        yield kept.load(TEACHER, version)


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

    `seconds_before` is what its teachers took.
    """
    params = epoch.state.average
    logits = compile_logits(layers)(params, validation)
    calibration = fit_temperature(logits, validation.labels)
    distance = distance_from(layers, params, training, recipe.distortion)
    network = CompiledNetwork(layers, params, temperature=calibration.temperature, distance=distance)
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
        trust=fit_trust(logits, computed, validation.labels, distance),
        golden=card.golden(validation.images[:GOLDEN_IMAGES], computed[:GOLDEN_IMAGES]),
        retrained=retrained,
    )
