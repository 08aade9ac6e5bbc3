"""A training job: from pictures to a published version."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from training import card, provenance
from training.calibrate import fit_temperature
from training.card import Card
from training.compiled import CompiledNetwork
from training.data.split import split
from training.evaluate import predict, score
from training.fit import before_first_epoch, compile_logits, fit
from training.layers import count_weights
from training.runs import Run

if TYPE_CHECKING:
    from training.data.digits import Digits
    from training.fit import Epoch, Watch
    from training.layers import Layers
    from training.recipe import Recipe
    from training.store import Store

RUNS = ".runs"
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
) -> Published:
    """Trains a network on digits and publishes it in the store under a model's name.

    With `resume` it goes on from the last epoch of an interrupted run of the same layers, recipe and digits, if there
    is one. Raises RunBusy while another process is at just that.
    """
    store.aliases(model)  # a name that cannot be published is refused now and not after an hour
    training, validation = split(digits, recipe.validation_images)
    with Run.open(store.path / RUNS, layers, recipe, digits.sha256, resume=resume) as saved:
        epoch = before_first_epoch(layers, recipe)
        if saved.epochs:
            epoch = saved.load(like=epoch.state)
        for epoch in fit(layers, recipe, training, validation, epoch, watch):  # noqa: B020 - each follows from the one before
            saved.save(epoch)
        data = card.Data(source, digits.sha256, len(training), len(validation))
        written = _card(model, layers, recipe, data, epoch, validation)
        version = store.publish(written, epoch.state.average)
        saved.remove()
    return Published(version, written)


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
