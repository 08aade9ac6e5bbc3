"""`python -m training corrections`: list the corrections that users have sent, export them as own digits."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import friendly_errors, stdout
from training.commands.data import Table, table_form
from training.commands.options import (
    FeedbackOption,
    ForceOption,
    JsonOption,
    StoreOption,
    check_out,
    default_feedback,
    default_store,
    read_corrections,
)
from training.commands.suggest import Command

# SQLAlchemy and NumPy are imported inside the commands, so that --help answers at once.
if TYPE_CHECKING:
    from training.corrections import Correction

app = typer.Typer(
    name="corrections",
    help="List the corrections that users have sent, export them as own digits.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
command = partial(app.command, cls=Command)


@command("list", epilog="Example:  python -m training corrections list --limit 50")
def list_corrections(
    feedback: FeedbackOption = "",
    store: StoreOption = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest ones.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List corrections: when, of which version, what it predicted, and what the picture shows."""
    with friendly_errors():
        found = _all(feedback, store)
    shown = found[-limit:]
    if as_json:
        import msgspec

        rows = [
            {name: value for name, value in msgspec.to_builtins(of).items() if name != "client_key"} for of in shown
        ]
        typer.echo(msgspec.json.encode(rows))
        return
    from rich.table import Table as Grid

    grid = Grid("id", "received (UTC)", "model", "version", "predicted", "is", box=None, pad_edge=False)
    for of in shown:
        values = (of.model, of.version, of.predicted, of.digit)
        grid.add_row(
            str(of.id), f"{of.received:%Y-%m-%d %H:%M:%S}", *("-" if value is None else str(value) for value in values)
        )
    stdout.print(grid)
    stdout.print(f"{len(shown):,} of {len(found):,} corrections")


@command(epilog="Example:  python -m training corrections export corrections.parquet")
def export(
    out: Annotated[Path, typer.Argument(help="The .csv, .csv.gz or .parquet to write.", show_default=False)],
    feedback: FeedbackOption = "",
    store: StoreOption = "",
    table: Annotated[
        Table | None, typer.Option("--format", help="The form; that of OUT's ending by default.", show_default=False)
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write the pictures with the digits that they show: a table as --data reads it, in the order of their ids."""
    form = table or table_form(out)
    check_out(out, force=force)
    with friendly_errors():
        import numpy as np

        from training.data.digits import DataError, Digits
        from training.data.tabular import write_csv, write_parquet
        from training.images import SIDE

        found = _all(feedback, store)
        if not found:
            raise DataError("there are no corrections, nothing is written")
        pixels = np.frombuffer(b"".join(of.pixels for of in found), np.uint8)
        digits = Digits(pixels.reshape(-1, SIDE, SIDE), np.array([of.digit for of in found], np.uint8))
        (write_csv if form is Table.CSV else write_parquet)(out, digits)
    stdout.print(f"{out}: {len(digits):,} corrections", soft_wrap=True)


def _all(feedback: str, store: str) -> "list[Correction]":
    """All corrections, ascending by id; none where no database exists and none is named."""
    url = feedback or default_feedback(store or default_store())
    return read_corrections(url) if url else []
