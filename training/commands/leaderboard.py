"""`python -m training leaderboard`: test scores of every network over its seeds."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.fit import train
from training.commands.interrupt import stoppable
from training.commands.options import (
    BaselinesOption,
    DataOption,
    InkOption,
    JsonOption,
    ScaleOption,
    StoreOption,
    StrictOption,
    default_store,
    open_store,
    read_digits,
)

# JAX is imported inside the command, so that --help answers at once.
if TYPE_CHECKING:
    from rich.table import Table

    from training.report.standing import Standing
    from training.store import Store

SEEDS = (0, 1, 2)
HEADINGS = (
    *("model", "versions", "test error", "lowest, highest", "95 % interval"),
    *("weights", "training", "seeds", "device"),
)


def leaderboard(
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit",
            help="First fit mlp, mlp_deep and lenet to MNIST by their own recipes with seeds 0, 1, 2, as far as the "
            "store lacks these, and show these; takes hours. When interrupted it goes on the next time.",
        ),
    ] = False,
    baselines: BaselinesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score every model on the 10,000 test images of MNIST, or on your own digits; the best first.

    A row is a model's champion with the versions that differ from it by the seed alone: means over their seeds.
    """
    with friendly_errors():
        import msgspec

        from training import mnist
        from training.report import board

        opened = open_store(store or default_store())
        with stderr.status("reading digits"):
            digits = read_digits(data, scale, ink, strict=strict, part="test") if data else mnist.test()
        chosen = _fitted(opened) if fit else None
        with stderr.status("testing") as status:
            rows = board.networks(opened, digits, chosen=chosen, watch=lambda what: status.update(f"testing {what}"))
            if baselines:
                rows += board.baselines(digits, watch=lambda name: status.update(f"fitting {name}"))
    rows = board.ranked(rows)
    if as_json:
        typer.echo(msgspec.json.encode(rows))
    else:
        _print(_table(rows))


def _fitted(store: "Store") -> dict[str, list[int]]:
    """Versions of each built-in network with its own recipe and SEEDS; missing ones are fitted."""
    import msgspec

    from training import mnist
    from training.data.split import held_out
    from training.network.models import MODELS
    from training.recipe import recipe_for
    from training.report.setup import Setup

    digits = mnist.train()
    setups = []
    for name, layers in MODELS.items():
        recipe = recipe_for(name)
        validation = held_out(len(digits), recipe.validation_images)
        setups.append(Setup(name, layers, recipe.changed(validation_images=validation, seed=0), digits.sha256))
    missing = [(setup, seed) for setup in setups for seed in sorted(set(SEEDS) - setup.versions(store).keys())]
    with redirect_stdout(sys.stderr), stoppable() as check:  # stdout is for the leaderboard alone
        for place, (setup, seed) in enumerate(missing, 1):
            name, layers, recipe, _ = setup
            stderr.print(f"fitting [bold]{name}[/] with seed {seed}, {place} of {len(missing)}", highlight=False)
            recipe = msgspec.structs.replace(recipe, seed=seed)
            train(store, name, layers, recipe, digits, source="mnist", resume=True, check=check)
    return {
        setup.model: [version for seed, version in setup.versions(store).items() if seed in SEEDS] for setup in setups
    }


def _print(table: "Table") -> None:
    """Prints a table at its full width, even where the terminal, or rich's default for a pipe, is narrower."""
    from rich.measure import Measurement

    table.width = Measurement.get(stdout, stdout.options.update_width(1000), table).maximum
    stdout.print(table, soft_wrap=True)


def _table(rows: "list[Standing]") -> "Table":
    from rich.table import Table

    from training.report.wording import count, duration, interval, percent

    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"model", "device"} else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"[bold]{row.label}[/]",
            " ".join(map(str, row.versions)),
            f"[bold]{percent(row.error)}[/]",
            interval(row.span) if len(row.seeds) > 1 else "",
            interval(row.interval),
            "" if row.weights is None else count(row.weights),
            duration(row.training_seconds),
            " ".join(map(str, row.seeds)),
            row.device,
        )
    return table
