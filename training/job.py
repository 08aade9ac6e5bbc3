"""A training job: from pictures to a published version."""

from __future__ import annotations

import datetime
from contextlib import nullcontext
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training import card, parallel, provenance
from training.calibrate import fit_temperature
from training.card import Card, EpochRow
from training.compiled import CompiledNetwork
from training.data.split import split
from training.evaluate import predict, score
from training.fit import Epoch, before_first_epoch, compile_logits, fit
from training.layers import count_weights
from training.runs import Run

if TYPE_CHECKING:
    from training.data.digits import Digits
    from training.fit import Watch
    from training.layers import Layers
    from training.recipe import Recipe
    from training.store import Store

RUNS = ".runs"
UNKNOWN = EpochRow(epoch=0, loss=nan, validation_error=nan, images_per_s=nan, seconds=nan)
GOLDEN_IMAGES = 16


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
    watch: Watch,
) -> Published | None:
    """Trains a network on digits and publishes it in the store under a model's name.

    With `resume` it goes on from the last epoch of an interrupted run of the same layers, recipe and digits, if there
    is one. Raises RunBusy while another job is at just that. Where several processes train together, only the first
    reads and writes the store and gets what was published; the others get None, when that is done.
    """
    store.aliases(model)  # a name that cannot be published is refused now and not after an hour
    training, validation = split(digits, recipe.validation_images)
    published = None
    runs = store.path / RUNS
    first = parallel.is_first()
    with Run.open(runs, layers, recipe, digits.sha256, resume=resume) if first else nullcontext() as saved:
        epoch = before_first_epoch(layers, recipe)
        if saved and saved.epochs:
            epoch = saved.load(like=epoch.state)
        epoch = _from_first(epoch)
        for epoch in fit(layers, recipe, training, validation, epoch, watch):  # noqa: B020 - each follows from the one before
            if saved:
                saved.save(epoch)
            else:
                parallel.save(None, epoch.state)
        if saved:
            data = card.Data(source, digits.sha256, len(training), len(validation))
            written = _card(model, layers, recipe, data, epoch, validation)
            published = Published(store.publish(written, epoch.state.average), written)
            saved.remove()
        else:
            parallel.save(None, epoch.state.average)
    parallel.wait_for_all("published")
    return published


def _from_first(epoch: Epoch) -> Epoch:
    """Where the first process stands, which alone has read the store; of its history the others know but the length."""
    epochs = int(parallel.from_first(np.int32(len(epoch.history))))
    state = parallel.from_first(epoch.state)
    return epoch if parallel.is_first() else Epoch(state, (UNKNOWN,) * epochs)


def _card(model: str, layers: Layers, recipe: Recipe, data: card.Data, epoch: Epoch, validation: Digits) -> Card:
    params = epoch.state.average
    calibration = fit_temperature(compile_logits(layers)(params, validation), validation.labels)
    network = CompiledNetwork(layers, params, temperature=calibration.temperature)
    probabilities = predict(network, validation)
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
        training_seconds=sum(row.seconds for row in epoch.history),
        history=epoch.history,
        validation=score(probabilities, validation.labels),
        calibration=calibration,
        reference=card.reference(validation.images, probabilities),
        golden=card.golden(validation.images[:GOLDEN_IMAGES], probabilities[:GOLDEN_IMAGES]),
    )
