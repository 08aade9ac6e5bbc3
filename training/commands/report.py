"""`python -m training report | leaderboard`: every champion side by side, on digits it has never seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    DataOption,
    Ink,
    InkOption,
    JsonOption,
    ScaleOption,
    StoreOption,
    default_store,
    open_store,
    read_digits,
)

# JAX and matplotlib are imported inside the commands, so that --help answers at once.
if TYPE_CHECKING:
    from rich.status import Status
    from rich.table import Table

    from training.data.digits import Digits
    from training.report.champions import Standing

BaselinesOption = Annotated[
    bool, typer.Option("--baselines", help="Also fit and test scikit-learn's models; takes some minutes.")
]


def report(
    out: Annotated[Path, typer.Argument(help="The .html to write; an older one is replaced.", show_default=False)],
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = Ink.WHITE,
    baselines: BaselinesOption = False,
) -> None:
    """Write one HTML file that needs nothing else: what was trained, on what, how well it does, and where it errs."""
    if out.suffix.lower() != ".html":
        raise typer.BadParameter(f"{out.name} does not end in .html", param_hint="OUT")
    store = store or default_store()
    with friendly_errors(), stderr.status("reading digits") as status:
        from datetime import UTC, datetime

        from training import mnist, provenance
        from training.data.digits import DataError
        from training.data.replacing import replacing
        from training.report.champions import champions
        from training.report.page import Source, render

        if out.is_dir() or not out.parent.is_dir():
            raise DataError(f"{out}: want a file in a folder that exists")
        opened = open_store(store)
        if data:
            tested = seen = Source(read_digits(data, scale, ink), str(data))
        else:
            tested = Source(mnist.test(), "the MNIST test images")
            seen = Source(mnist.train(), "the MNIST training images")
        found = champions(opened, tested.digits, watch=lambda model: status.update(f"testing {model}"))
        others = _baselines(tested.digits, status) if baselines else []
        status.update("drawing")
        page = render(
            found,
            [opened.load(champion.name, champion.version)[1] for champion in found],
            others,
            tested=tested,
            seen=seen,
            store=store,
            code=provenance.code(),
            now=datetime.now(UTC),
        )
        with replacing(out) as aside:
            aside.write_text(page, "utf-8")
    stdout.print(f"{out}: {len(found)} models, {out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)


def leaderboard(
    store: StoreOption = "",
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = Ink.WHITE,
    baselines: BaselinesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score the champion of every model on the 10,000 test images of MNIST, or on your own digits; the best first."""
    with friendly_errors(), stderr.status("reading digits") as status:
        import msgspec

        from training import mnist
        from training.report import champions as board

        opened = open_store(store or default_store())
        digits = read_digits(data, scale, ink) if data else mnist.test()
        found = board.champions(opened, digits, watch=lambda model: status.update(f"testing {model}"))
        others = _baselines(digits, status) if baselines else []
        rows = board.leaderboard([*map(board.standing, found), *others])
    if as_json:
        typer.echo(msgspec.json.encode(rows))
    else:
        stdout.print(_table(rows))


def _baselines(digits: "Digits", status: "Status") -> "list[Standing]":
    """The rows of scikit-learn's models, fitted to what the networks were trained on, tested on `digits`."""
    from training import mnist
    from training.baselines import fit_baselines
    from training.data.split import split
    from training.recipe import Recipe
    from training.report.champions import baseline_standing

    training, validation = split(mnist.train(), Recipe().validation_images)
    fitted = fit_baselines(training, validation, watch=lambda name: status.update(f"fitting {name}"))
    return [baseline_standing(baseline, digits) for baseline in fitted]


def _table(rows: "list[Standing]") -> "Table":
    from rich.table import Table

    from training.report.wording import count, duration, interval, percent

    table = Table(box=None, pad_edge=False)
    for heading in ("model", "version", "test error", "95 % interval", "weights", "training", "seed", "device"):
        table.add_column(heading, justify="left" if heading in {"model", "device"} else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"[bold]{row.label}[/]",
            "" if row.version is None else str(row.version),
            f"[bold]{percent(row.error)}[/]",
            interval(row.interval),
            "" if row.weights is None else count(row.weights),
            duration(row.training_seconds),
            str(row.seed),
            row.device,
        )
    return table
