"""`python -m training fit`: train a network, alone or data-parallel, and publish it as a version."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.commands.console import friendly_errors, print_error, stderr, stdout, warn
from training.commands.interrupt import Stopped, stoppable
from training.commands.options import (
    DEFAULT_MODEL,
    DataOption,
    Ink,
    InkOption,
    ScaleOption,
    StoreOption,
    StrictOption,
    default_model,
    default_store,
    open_store,
    read_digits,
)
from training.errors import DigitsError, did_you_mean
from training.network.models import MODELS
from training.recipe import MEDIUM, QUICK, RECIPES, Distortion, Optimizer, Recipe, Schedule, recipe_for

# JAX is imported inside the command, so that --help and --if-missing answer at once.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.data.digits import Digits
    from training.fitting.job import Published
    from training.fitting.loop import Watch
    from training.network.layers import Layers
    from training.store import Store

RECIPE, MACHINES = "The recipe", "Several machines"
"""The groups of options in --help."""


def _defaults(value: "Callable[[Recipe], object]") -> str:
    """The default of an option of the recipe, for --help: of each model, of --quick, and of networks of one's own."""
    recipes = {**RECIPES, "--quick": QUICK, "--layers": Recipe()}
    found = {name: value(recipe) for name, recipe in recipes.items()}
    said = [f"{name} {of}" for name, of in found.items()] if len({*found.values()}) > 1 else [str(found["--layers"])]
    return f"  \\[default: {', '.join(said)}]"


def _option(
    text: str, default: "Callable[[Recipe], object] | None" = None, *names: str, least: int | None = None
) -> Any:
    """An option of the recipe, whose default in --help is what the recipes have."""
    shown = _defaults(default) if default else ""
    return typer.Option(*names, min=least, help=text + shown, show_default=False, rich_help_panel=RECIPE)


def fit(
    model: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(MODELS)}; with --layers any name.  \\[default: DIGITS_MODEL, or else {DEFAULT_MODEL}]",
            show_default=False,
        ),
    ] = "",
    store: StoreOption = "",
    layers: Annotated[
        Path | None,
        typer.Option(help="Your own network: a list of layers in a .toml or .json file.", show_default=False),
    ] = None,
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Rate of every dropout layer.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last epoch of an interrupted run with the same options.")
    ] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing when the store has a champion of this model.")
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(help="A folder for TensorBoard's event files; wants the extra.", show_default=False),
    ] = None,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Log to MLflow, at MLFLOW_TRACKING_URI; wants the extra.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A good network in about a minute.", rich_help_panel=RECIPE)
    ] = False,
    recipe: Annotated[Path | None, _option("Your own recipe: its fields in a .toml or .json file.")] = None,
    epochs: Annotated[int | None, _option("How often each image is seen.", lambda of: of.epochs, least=1)] = None,
    batch_size: Annotated[int | None, _option("Images in a training step.", lambda of: of.batch_size, least=1)] = None,
    scale_learning_rate: Annotated[
        bool,
        typer.Option(
            "--scale-learning-rate",
            help="With --batch-size: the learning rate follows it, and so does the average.",
            rich_help_panel=RECIPE,
        ),
    ] = False,
    optimizer: Annotated[Optimizer | None, _option("What the steps are taken by.", lambda of: of.optimizer)] = None,
    learning_rate: Annotated[float | None, _option("At its peak.", lambda of: of.learning_rate)] = None,
    schedule: Annotated[
        Schedule | None, _option("How the rate falls after the warm-up.", lambda of: of.schedule)
    ] = None,
    warmup_epochs: Annotated[
        float | None, _option("Epochs in which the rate rises to its peak.", lambda of: of.warmup_epochs, least=0)
    ] = None,
    weight_decay: Annotated[float | None, _option("adamw only.", lambda of: of.weight_decay, least=0)] = None,
    average: Annotated[
        float | None, _option("Decay of the running average of the weights.", lambda of: of.average, least=0)
    ] = None,
    distort: Annotated[
        bool | None,
        _option(
            "Distort the training images.",
            lambda of: "yes" if of.distortion != Distortion() else "no",
            "--distort/--no-distort",
        ),
    ] = None,
    validation_images: Annotated[
        int | None, _option("Held out of the training images; 5,000 or a tenth of them, whichever is smaller.", least=1)
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Same seed, same machine: the same weights.", rich_help_panel=RECIPE)
    ] = 0,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher/--no-teacher",
            help="Learn from the recipe's larger networks, if it has any.",
            rich_help_panel=RECIPE,
        ),
    ] = True,
    coordinator: Annotated[
        str,
        typer.Option(
            help="host:port of process 0.",
            envvar="JAX_COORDINATOR_ADDRESS",
            show_default=False,
            rich_help_panel=MACHINES,
        ),
    ] = "",
    processes: Annotated[
        int, typer.Option(min=1, help="How many processes.", envvar="JAX_NUM_PROCESSES", rich_help_panel=MACHINES)
    ] = 1,
    process: Annotated[
        int, typer.Option(min=0, help="Which of them this is.", envvar="JAX_PROCESS_ID", rich_help_panel=MACHINES)
    ] = 0,
) -> None:
    """Train a network and publish it as a new version. The first version of a model becomes its champion.

    All devices share in the work. Over several machines, the same command runs on each, with --process 0, 1, 2, …
    """
    model, store = model or default_model(), store or default_store()
    with friendly_errors(), stoppable() as check:
        opened = open_store(store)
        if if_missing and opened.has_champion(model):
            return
        if if_missing:
            stdout.print(
                f"The store [bold]{store}[/] has no model [bold]{model}[/] yet: training one now.", soft_wrap=True
            )
        chosen = _recipe(
            "" if layers else model,
            recipe,
            quick=quick,
            teacher=teacher,
            scale_learning_rate=scale_learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            warmup_epochs=warmup_epochs,
            weight_decay=weight_decay,
            average=average,
            distortion=None if distort is None else MEDIUM if distort else Distortion(),
            validation_images=validation_images,
            seed=seed,
        )
        network = _network(model, layers, dropout)
        _join(coordinator, processes, process)
        digits, source = _digits(data, scale, ink, strict=strict)
        published = train(
            opened,
            model,
            network,
            chosen,
            digits,
            source=source,
            resume=resume,
            check=check,
            tensorboard=tensorboard,
            mlflow=mlflow,
        )
    if published:
        _print_published(opened, store, model, published)


def train(
    store: "Store",
    model: str,
    layers: "Layers",
    recipe: Recipe,
    digits: "Digits",
    *,
    source: str,
    resume: bool,
    check: "Callable[[], None]",
    tensorboard: Path | None = None,
    mlflow: bool = False,
) -> "Published | None":
    """Runs a training job and shows its progress. Raises typer.Exit when the user stops it."""
    from training.commands.progress import EpochTable
    from training.data.split import held_out
    from training.distributed.processes import is_first
    from training.fitting.job import TEACHER, run

    @contextmanager
    def watching(name: str, followed: Recipe) -> "Iterator[Watch]":
        if name == TEACHER and is_first():
            stdout.print(f"training teacher {followed.seed + 1}, once for this store; --no-teacher does without")
        training_images = len(digits) - held_out(len(digits), followed.validation_images)
        per_epoch = training_images // followed.batch_size * followed.batch_size
        with ExitStack() as open_watches:
            watch = open_watches.enter_context(EpochTable(name, followed.epochs, per_epoch, check, shown=is_first()))
            if tensorboard and is_first():
                from training.commands.tensorboard import EventFile

                folder = tensorboard / f"{name}-seed-{followed.seed}"
                watch = open_watches.enter_context(EventFile(folder, followed, watch))
            if mlflow and is_first():
                from training.commands.mlflow_run import MlflowRun

                watch = open_watches.enter_context(MlflowRun(name, followed, watch))
            yield watch

    with _exit_on_stop_or_error(resume=resume):
        return run(store, model, layers, recipe, digits, source=source, resume=resume, watching=watching)


@contextmanager
def _exit_on_stop_or_error(*, resume: bool) -> "Iterator[None]":
    """Ends this process with one line and an exit code when the user stops it, and one of several on an error, too.

    One of several processes leaves at once; by that the other ones notice that it is gone.
    """
    from training.distributed.processes import PeerLost, has_peers, leave

    try:
        yield
    except Stopped as stopped:
        again = "the same command" if resume else "the same command with --resume"
        stderr.print(f"{stopped}; {again} goes on from the last epoch", style="yellow", soft_wrap=True)
        if has_peers():
            leave(stopped.exit_code)
        raise typer.Exit(stopped.exit_code) from None
    except PeerLost as lost:
        advice = "with --resume, all go on from the last epoch"
        print_error(f"another process has ended or cannot be reached; {advice} ({lost.reason})")
        leave(1)
    except DigitsError as error:
        if not has_peers():
            raise
        print_error(str(error))
        leave(1)


def _recipe(
    model: str, file: Path | None, *, quick: bool, teacher: bool, scale_learning_rate: bool, **given: Any
) -> Recipe:
    """The recipe in a file, or that of a model by its name, with the values that were given as options.

    A network of the user's own has no name here: the recipe and the teachers of a built-in network are not for it.
    """
    chosen = Recipe.read(file) if file else recipe_for(model, quick=quick)
    if scale_learning_rate:
        if given["batch_size"] is None:
            raise DigitsError("--scale-learning-rate: want --batch-size, which the learning rate follows")
        chosen = chosen.scaled_to(given["batch_size"])
    chosen = chosen.changed(**{name: value for name, value in given.items() if value is not None})
    return chosen if teacher else chosen.changed(teacher=None)


def _network(model: str, file: Path | None, dropout: float | None) -> "Layers":
    from training.network.layers import LayerError, LayerFile, with_dropout

    layers: Layers
    if file:
        layers = LayerFile.read(file).layers
    elif model in MODELS:
        layers = MODELS[model]
    else:
        wanted = f"want one of {', '.join(MODELS)}, or --layers with a file{did_you_mean(model, MODELS)}"
        raise LayerError(f"no network is named {model!r}: {wanted}")
    return layers if dropout is None else with_dropout(layers, dropout)


def _join(coordinator: str, processes: int, process: int) -> None:
    """Connects this process with the other ones of the job, if there are some. Raises DigitsError."""
    from training.distributed.processes import join

    if coordinator:
        stderr.print(f"process {process} of {processes} waits for the others at {coordinator}", soft_wrap=True)
        join(coordinator, processes, process)
    elif processes > 1:
        raise DigitsError(f"this is one of {processes} processes: want --coordinator with the host:port of process 0")


def _digits(data: Path | None, scale: float, ink: Ink | None, *, strict: bool) -> "tuple[Digits, str]":
    """The digits to train on, and their source for the card."""
    if data:
        digits = read_digits(data, scale, ink, strict=strict)
        if digits.missing:
            missing = ", ".join(map(str, digits.missing))
            warn(f"{data}: holds no digit {missing}: the network learns none of them, and its errors count none")
        return digits, str(data)
    from training import mnist

    return mnist.train(), "mnist"


def _print_published(store: "Store", path: str, model: str, published: "Published") -> None:
    """Prints where the new version is and its validation error, and how to serve it if it is not the champion."""
    from training.store import CHAMPION

    version, card = published
    low, high = card.validation.interval
    stdout.print(
        f"published [bold]{model}[/] version [bold]{version}[/] in {path}/{model}/{version}: "
        f"validation error {card.validation.error:.2%} (95 %: {low:.2%} to {high:.2%}), "
        f"{card.weights:,} weights, trained in {card.training_seconds:.0f} s",
        soft_wrap=True,
    )
    if store.aliases(model).get(CHAMPION) != version:
        stdout.print(f"to serve it: [bold]python -m training promote {model} {version}[/]", soft_wrap=True)
