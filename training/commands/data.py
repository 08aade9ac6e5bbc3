"""`python -m training data`: check MNIST, export digits as tables, look at them."""

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import (
    DataOption,
    ForceOption,
    Ink,
    InkOption,
    JsonOption,
    ScaleOption,
    StrictOption,
    check_out,
    read_digits,
)
from training.commands.suggest import Command

# NumPy, pyarrow and Pillow are imported inside the commands, so that --help answers at once.
if TYPE_CHECKING:
    from training.data.digits import Digits

app = typer.Typer(
    name="data",
    help="Check MNIST, export digits as tables, look at them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


command = partial(app.command, cls=Command)


class Split(StrEnum):
    """A part of MNIST."""

    TRAIN = "train"
    TEST = "test"


class Table(StrEnum):
    """The form of an export."""

    CSV = "csv"
    PARQUET = "parquet"


SplitOption = Annotated[
    Split | None, typer.Option(help="Part of MNIST; train unless told otherwise.", show_default=False)
]


@command(epilog="Example:  python -m training data verify --json")
def verify(
    folder: Annotated[Path | None, typer.Option(help="Where the four files are; the bundled ones by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the four files of MNIST against their SHA-256. Exit code 1 if one is missing or wrong."""
    from dataclasses import asdict

    from training import mnist

    with friendly_errors():
        checks = mnist.verify(folder or mnist.FOLDER)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        from rich.table import Table as Grid

        grid = Grid("file", "state", "SHA-256, unpacked")
        for check in checks:
            colour = "green" if check.state == "good" else "red"
            digest = (check.found or "none")[:16] + (
                "" if check.found == check.wanted else f", want {check.wanted[:16]}"
            )
            grid.add_row(check.name, f"[{colour}]{check.state}[/]", digest)
        stdout.print(grid)
    if any(check.state != "good" for check in checks):
        raise typer.Exit(1)


@command(epilog="Example:  python -m training data export --split test mnist-test.parquet")
def export(
    out: Annotated[Path, typer.Argument(help="The file to write; .csv.gz is packed.", show_default=False)],
    table: Annotated[
        Table | None, typer.Option("--format", help="The form; that of OUT's ending by default.", show_default=False)
    ] = None,
    split: SplitOption = None,
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    force: ForceOption = False,
) -> None:
    """Write digits as a table, one a row: the columns digit, pixel0 … pixel783 (0 is background, 255 is full ink)."""
    form = table or table_form(out)
    check_out(out, force=force)
    with friendly_errors():
        digits = _digits(split, data, scale, ink, strict=strict)
        from training.data.tabular import write_csv, write_parquet

        with stderr.status(f"writing {len(digits):,} digits to {out}"):
            (write_csv if form is Table.CSV else write_parquet)(out, digits)
    stdout.print(f"{out}: {len(digits):,} digits, {out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)


@command(epilog="Example:  python -m training data show --digit 4 --digit 9 both.png")
def show(
    out: Annotated[Path, typer.Argument(help="The .png to write.")] = Path("digits.png"),
    split: SplitOption = None,
    data: DataOption = None,
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    strict: StrictOption = False,
    count: Annotated[int, typer.Option(min=1, max=2000, help="How many digits at most.")] = 100,
    digit: Annotated[
        list[int] | None, typer.Option(min=0, max=9, help="Only this digit; may be given more than once.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Choose at random with this seed; the first ones by default.")
    ] = None,
    columns: Annotated[int | None, typer.Option(min=1, help="Digits in a row; about square by default.")] = None,
    zoom: Annotated[int, typer.Option(min=1, max=20, help="How much each picture is enlarged.")] = 3,
    augment: Annotated[
        bool, typer.Option("--augment", help="Distort them, as they are distorted for training.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Draw digits with their labels into one picture, for a check by eye."""
    if out.suffix.lower() != ".png":
        raise typer.BadParameter(f"{out.name} does not end in .png", param_hint="OUT")
    check_out(out, force=force)
    with friendly_errors():
        digits = _choose(_digits(split, data, scale, ink, strict=strict), digit, count, seed)
        if augment:
            digits = _augmented(digits, seed or 0)
        from training.data.gallery import gallery
        from training.data.replacing import replacing

        picture = gallery(digits, columns=columns, zoom=zoom)
        with replacing(out) as aside:
            picture.save(aside)
    stdout.print(f"{out}: {len(digits):,} digits", soft_wrap=True)


def _digits(split: Split | None, data: Path | None, scale: float, ink: Ink | None, *, strict: bool) -> "Digits":
    """The digits that are exported or shown."""
    if data is not None:
        if split is not None:
            raise typer.BadParameter("--split is a part of MNIST, want it without --data", param_hint="--split")
        with stderr.status(f"reading {data}"):
            return read_digits(data, scale, ink, strict=strict)
    if scale != 255.0 or ink is not None or strict:
        raise typer.BadParameter("--scale, --ink and --strict are about your own digits, want them with --data")
    from training import mnist

    with stderr.status("reading MNIST"):
        return mnist.test() if split is Split.TEST else mnist.train()


def _augmented(digits: "Digits", seed: int) -> "Digits":
    """The digits, each with its own distortion."""
    import jax
    import numpy as np

    from training.data.digits import Digits
    from training.fitting.augmentation import distort
    from training.recipe import MEDIUM

    return Digits(np.asarray(distort(jax.numpy.asarray(digits.images), jax.random.key(seed), MEDIUM)), digits.labels)


def _choose(digits: "Digits", only: list[int] | None, count: int, seed: int | None) -> "Digits":
    """At most `count` of the digits, in their order: the first ones, or a random choice by a seed."""
    import numpy as np

    from training.data.digits import DataError

    rows = np.flatnonzero(np.isin(digits.labels, only)) if only else np.arange(len(digits))
    if len(rows) == 0:
        raise DataError(f"there is no digit {' or '.join(map(str, only or []))} among the {len(digits):,}")
    if seed is not None and count < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
    return digits.take(rows[:count])


def table_form(out: Path) -> Table:
    """The file format by the ending of a name."""
    if out.name.lower().endswith((".csv", ".csv.gz")):
        return Table.CSV
    if out.suffix.lower() == ".parquet":
        return Table.PARQUET
    raise typer.BadParameter(
        f"the ending of {out.name} is not .csv, .csv.gz or .parquet; say which", param_hint="--format"
    )
