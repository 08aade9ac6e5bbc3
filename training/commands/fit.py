"""`python -m training fit`: train a network and publish it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.interrupt import Stopped, stoppable
from training.commands.options import (
    DataOption,
    Ink,
    InkOption,
    ModelArgument,
    ScaleOption,
    StoreOption,
    default_model,
    default_store,
    open_store,
    read_digits,
)
from training.recipe import Optimizer, Recipe, Schedule

# JAX is imported inside the command, so that --help and --if-missing answer at once.
if TYPE_CHECKING:
    from training.layers import Layers

DEFAULT = Recipe()


def fit(
    model: ModelArgument = "",
    store: StoreOption = "",
    layers: Annotated[
        Path | None,
        typer.Option(help="Your own network: a list of layers in a .toml or .json file.", show_default=False),
    ] = None,
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = Ink.WHITE,
    epochs: Annotated[int, typer.Option(min=1)] = DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(min=1)] = DEFAULT.batch_size,
    optimizer: Annotated[Optimizer, typer.Option()] = DEFAULT.optimizer,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = DEFAULT.learning_rate,
    schedule: Annotated[Schedule, typer.Option(help="How the rate falls after the warm-up.")] = DEFAULT.schedule,
    warmup_epochs: Annotated[float, typer.Option(min=0)] = DEFAULT.warmup_epochs,
    weight_decay: Annotated[float, typer.Option(min=0, help="adamw only.")] = DEFAULT.weight_decay,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Rate of every dropout layer.", show_default=False)
    ] = None,
    validation_images: Annotated[
        int, typer.Option(min=1, help="Held out of the training images.")
    ] = DEFAULT.validation_images,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same machine: the same weights.")] = DEFAULT.seed,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last epoch of an interrupted run with the same options.")
    ] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing when the store has a champion of this model.")
    ] = False,
) -> None:
    """Train a network and publish it as a new version. The first version of a model becomes its champion."""
    model, store = model or default_model(), store or default_store()
    with friendly_errors(), stoppable() as check:
        opened = open_store(store)
        if if_missing:
            if opened.has_champion(model):
                return
            stdout.print(f"The store [bold]{store}[/] has no model [bold]{model}[/] yet: training one now.")
        recipe = Recipe.of(
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            warmup_epochs=warmup_epochs,
            weight_decay=weight_decay,
            validation_images=validation_images,
            seed=seed,
        )
        network = _network(model, layers, dropout)

        from training import mnist
        from training.commands.progress import EpochTable
        from training.job import run
        from training.store import CHAMPION

        digits = read_digits(data, scale, ink) if data else mnist.train()
        source = str(data) if data else "mnist"
        per_epoch = (len(digits) - validation_images) // batch_size * batch_size
        try:
            with EpochTable(model, recipe.epochs, per_epoch, check) as table:
                version, card = run(
                    opened, model, network, recipe, digits, source=source, resume=resume, watch=table.watch
                )
        except Stopped as stopped:
            again = "the same command" if resume else "the same command with --resume"
            stderr.print(f"{stopped}; {again} goes on from the last epoch", style="yellow", soft_wrap=True)
            raise typer.Exit(stopped.exit_code) from None

    low, high = card.validation.interval
    stdout.print(
        f"published [bold]{model}[/] version [bold]{version}[/] in {store}/{model}/{version}: "
        f"validation error {card.validation.error:.2%} (95 %: {low:.2%} to {high:.2%}), "
        f"{card.weights:,} weights, trained in {card.training_seconds:.0f} s",
        soft_wrap=True,
    )
    if opened.aliases(model).get(CHAMPION) != version:
        stdout.print(f"to serve it: [bold]python -m training promote {model} {version}[/]")


def _network(model: str, file: Path | None, dropout: float | None) -> "Layers":
    from training.layers import LayerError, LayerFile, with_dropout
    from training.models import MODELS

    if file:
        layers = LayerFile.read(file).layers
    elif model in MODELS:
        layers = MODELS[model]
    else:
        raise LayerError(f"no network is named {model!r}: want one of {', '.join(MODELS)}, or --layers with a file")
    return layers if dropout is None else with_dropout(layers, dropout)
