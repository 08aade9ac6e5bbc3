"""`python -m training retrain`: fine-tune the champion on corrections, and promote the result if it passes the gate."""

import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.interrupt import Stopped, stoppable
from training.commands.options import (
    FeedbackOption,
    Ink,
    InkOption,
    JsonOption,
    ModelArgument,
    ScaleOption,
    StoreOption,
    StrictOption,
    default_feedback,
    default_model,
    default_store,
    open_store,
    read_corrections,
    read_digits,
)
from training.errors import DigitsError

# JAX and SQLAlchemy are imported inside the command: they are slow to import, and --help needs none.
if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from training.fitting.loop import Watch
    from training.images import Images
    from training.recipe import Recipe
    from training.retraining.limits import Limits
    from training.retraining.retrain import Report

KEPT: Final = 3
"""The exit code when the champion stays; 1 is an error, and 2 a wrong option."""


def retrain(
    model: ModelArgument = "",
    feedback: FeedbackOption = "",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Your own digits as further corrections: IDX, CSV, Parquet, .npz, or a folder of pictures per class.",
            show_default=False,
        ),
    ] = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    store: StoreOption = "",
    margin: Annotated[
        float | None,
        typer.Option(
            help="Non-inferiority margin on held-out digits, 0…1.  \\[default: DIGITS_GATE_MARGIN]", show_default=False
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Significance level of each test, 0…1.  \\[default: DIGITS_GATE_ALPHA]", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train and decide, but publish and promote nothing.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option("--promote/--no-promote", help="With --no-promote, a version that passes becomes the challenger."),
    ] = True,
    decision: Annotated[
        Path | None,
        typer.Option(
            help="Also write the decision to this file; the store keeps it anyway, beside the versions.",
            show_default=False,
        ),
    ] = None,
    kept_is_success: Annotated[
        bool, typer.Option("--kept-is-success", help="Exit with 0, too, when the champion is kept: for schedulers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune the champion on corrections; the result replaces the champion if it passes the gate.

    Exit code 0: it passed the gate. 3: the champion is kept. 1: an error.
    """
    model, store = model or default_model(), store or default_store()
    with friendly_errors(), stoppable() as check:
        limits = _limits(margin, alpha)
        images, labels = _corrections(feedback or default_feedback(store), data, scale, ink, strict=strict)

        from training import mnist
        from training.commands.progress import EpochTable
        from training.retraining.retrain import retrain as run

        @contextmanager
        def watching(recipe: "Recipe", pictures: int) -> "Iterator[Watch]":
            per_epoch = pictures // recipe.batch_size * recipe.batch_size
            with redirect_stdout(sys.stderr), EpochTable(model, recipe.epochs, per_epoch, check) as watch:
                yield watch

        try:
            report = run(
                open_store(store),
                model,
                mnist.train(),
                images,
                labels,
                limits=limits,
                source="mnist",
                watching=watching,
                dry_run=dry_run,
                promote=promote,
                decision_file=decision,
            )
        except Stopped as stopped:
            stderr.print(f"{stopped}; nothing is published", style="yellow", soft_wrap=True)
            raise typer.Exit(stopped.exit_code) from None
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(report))
    else:
        stdout.print(_table(report))
        stdout.print(_outcome(report, promote=promote), soft_wrap=True)
    if not report.decision.passed and not kept_is_success:
        raise typer.Exit(KEPT)


def _limits(margin: float | None, alpha: float | None) -> "Limits":
    from pydantic import ValidationError

    from training.retraining.settings import GateSettings

    given = {name: value for name, value in (("margin", margin), ("alpha", alpha)) if value is not None}
    try:
        return GateSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = error.errors()[0]
        if not wrong["loc"]:
            raise DigitsError(wrong["msg"].removeprefix("Value error, ")) from None
        raise DigitsError(f"the gate's {wrong['loc'][0]} is {wrong['input']}: {wrong['msg']}") from None


def _corrections(
    feedback: str, data: Path | None, scale: float, ink: Ink | None, *, strict: bool
) -> "tuple[Images, NDArray[np.uint8]]":
    """Corrections from the database and from a user's own digits, uint8 [n, 28, 28] and [n], n >= 0."""
    import numpy as np

    from training.images import SIDE

    images, labels = [np.empty((0, SIDE, SIDE), np.uint8)], [np.empty(0, np.uint8)]
    if feedback:
        rows = read_corrections(feedback)
        images.append(np.frombuffer(b"".join(row.pixels for row in rows), np.uint8).reshape(-1, SIDE, SIDE))
        labels.append(np.array([row.digit for row in rows], np.uint8))
    if data:
        own = read_digits(data, scale, ink, strict=strict)
        images.append(own.images)
        labels.append(own.labels)
    return np.concatenate(images), np.concatenate(labels)


def _table(report: "Report") -> "Table":
    from rich.table import Table

    table = Table("", "criterion", "found", box=None, pad_edge=False)
    for criterion in report.decision.criteria:
        mark = "[green]yes[/]" if criterion.passed else "[red]no[/]"
        table.add_row(mark, criterion.name, criterion.words)
    return table


def _outcome(report: "Report", *, promote: bool) -> str:
    """The outcome of the decision, as a sentence."""
    champion, challenger = report.champion, report.challenger
    if not report.decision.passed:
        judged = f"; version {challenger} stays in the store, unused" if challenger else ""
        return f"kept: version {champion} remains the champion of [bold]{report.model}[/]{judged}"
    if challenger is None:
        return f"a dry run: what came out would take the place of version {champion} of [bold]{report.model}[/]"
    if not promote:
        return f"passed: version {challenger} is the challenger of [bold]{report.model}[/]"
    return f"promoted: version {challenger} is the champion of [bold]{report.model}[/] instead of version {champion}"
