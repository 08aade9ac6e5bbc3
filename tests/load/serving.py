"""`python -m tests.load.serving`: how fast digits answers, beside floors and other servers of the same network."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from tests.load.champion import champion_of
from tests.load.contestants import CONTESTANTS
from tests.load.environment import Others, machine, warn_of_others
from tests.load.goals import verdicts
from tests.load.rounds import WARM_UP_S, compete
from tests.load.server import adopt_orphans
from tests.load.tables import markdown, remarks, table
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption, ModelArgument, StoreOption, default_model, default_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.load.contestants import Contestant
    from tests.load.rounds import Standing

WIDTH = 120
"""Columns that the table takes; rather than have its figures cut, a narrower terminal wraps its lines."""

Name = StrEnum("Name", [contestant.key for contestant in CONTESTANTS])
COLOURS = {True: "green", False: "red", None: "yellow"}

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example:  python -m tests.load.serving lenet --only digits --only fastapi_floor --rounds 1")
def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each; the median counts.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="How long a measurement takes.")] = 5,
    only: Annotated[list[Name] | None, typer.Option(help="Measure this one; repeat for several.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Write all figures to this file, as JSON.")] = None,
    as_json: JsonOption = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Load digits and others that serve the same network, in turns, with wrk: medians, ratios, and goals met or missed.

    All run on this machine, wrk too. These figures compare what is in one run, not machines or days.
    """
    with friendly_errors():
        adopt_orphans()
        contestants = [contestant for contestant in CONTESTANTS if not only or contestant.key in only]
        found, others = machine(), Others()
        standings = _standings(model or default_model(), store or default_store(), contestants, rounds, seconds)
        share = others.share
        answer = _answer(found, share, rounds, seconds, standings)
        if keep is not None:
            keep.write_bytes(msgspec.json.format(msgspec.json.encode(answer)) + b"\n")
    if as_json:
        typer.echo(msgspec.json.encode(answer))
        return
    if as_markdown:
        typer.echo(markdown(standings))
        return
    stdout.print(
        f"{found['processor']}, {found['processors']} processors, {found['system']}, Python {found['python']}\n"
        f"medians of {rounds} x {seconds} s",
        soft_wrap=True,
    )
    stdout.width = max(stdout.width, WIDTH)
    stdout.print(table(standings))
    for remark in remarks(standings):
        stdout.print(remark, style="yellow", soft_wrap=True, markup=False)
    for verdict in verdicts(standings):
        stdout.print(verdict.sentence, style=COLOURS[verdict.met], soft_wrap=True, markup=False)
    warn_of_others(share)


def _standings(
    model: str, store: str, contestants: "Sequence[Contestant]", rounds: int, seconds: int
) -> "list[Standing]":
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        champion_of(store, model) as champion,
        Progress(*columns, console=stderr, transient=True, refresh_per_second=1) as progress,
    ):
        task = progress.add_task("setting up", total=None)

        def watch(contestant: str, what: str) -> None:
            progress.update(task, description=f"{contestant}: {what}")

        return compete(contestants, champion, rounds, seconds, watch)


def _answer(
    found: dict[str, object], share: float, rounds: int, seconds: int, standings: "Sequence[Standing]"
) -> dict[str, Any]:
    """Everything, for scripts and for the file that is kept."""
    return {
        "machine": found,
        "share_of_others": share,
        "rounds": rounds,
        "seconds": seconds,
        "warm_up_seconds": WARM_UP_S,
        "contestants": [
            {**asdict(standing), "medians": {name: asdict(median) for name, median in standing.medians.items()}}
            for standing in standings
        ],
        "goals": [
            {
                "whose": verdict.whose,
                "workload": verdict.goal.workload.name,
                "figure": verdict.goal.figure,
                "against": verdict.reference,
                "ours": verdict.ours,
                "theirs": verdict.theirs,
                "ratio": verdict.ratio,
                "wanted": verdict.goal.ratio,
                "met": verdict.met,
                "sentence": verdict.sentence,
            }
            for verdict in verdicts(standings)
        ],
    }


if __name__ == "__main__":
    app(prog_name="python -m tests.load.serving")
