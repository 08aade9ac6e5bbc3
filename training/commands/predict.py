"""`python -m training predict`: the answers to all rows of a file or folder, as Parquet."""

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.console import Unread, friendly_errors, stderr, stdout
from training.commands.interrupt import Stopped, stoppable
from training.commands.options import (
    InkOption,
    JsonOption,
    ScaleOption,
    StoreOption,
    VersionOption,
    check_out,
    default_model,
    default_store,
    open_store,
)
from training.prediction.shard import MOST, Shard, ShardError

# JAX, NumPy and pyarrow are imported inside the command, so that --help answers at once.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER_ENDINGS = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".npz")
"""Of files that somebody may expect, and that are not written."""


class Engine(StrEnum):
    """What runs the shards."""

    LOCAL = "local"
    RAY = "ray"


def predict(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="CSV or Parquet with the columns pixel0 … pixel783, Parquet with picture files in image.bytes, .npz, "
            "an IDX images file, or a folder of Parquet files or pictures.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="The .parquet to write, or a folder for one file a shard.",
            show_default=False,
        ),
    ],
    model: Annotated[str, typer.Option(help="A model's name.  \\[default: DIGITS_MODEL]", show_default=False)] = "",
    version: VersionOption = "champion",
    store: StoreOption = "",
    scale: ScaleOption = 255.0,
    ink: InkOption = None,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST - 1,
            help="Divide IN into so many shards, with a file in OUT for each.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Only shard I of N, counted from 0: one of N machines says 0/N.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that prepare pictures; by default one a processor.", show_default=False),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(help="Where shards are answered: in this process, or by Ray, on its cluster (RAY_ADDRESS)."),
    ] = Engine.LOCAL,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with an error at the first row that cannot be read.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write anew what exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer every row of IN, in order, and write Parquet: digit, confidence, probabilities, accepted, reason.

    The other columns of IN are kept, and IN may be larger than the memory. A file of answers appears whole or not at
    all. The same command goes on where it was interrupted: shards that are complete are skipped.
    """
    parts = _parts(out, shards, shard)
    _check_apart(source, out, parts[0][1])
    resumes = parts[0][1] != out
    if engine is Engine.RAY and not shards:
        raise typer.BadParameter("Ray divides IN by shards, want --shards as well", param_hint="--engine")
    if not resumes:
        check_out(out, force=force)
    began = time.perf_counter()
    with friendly_errors(), _interrupted(resumes=resumes), stoppable() as check:
        from training.prediction.job import Done, Job, OpenJob
        from training.prediction.part import check_folder
        from training.predictor import Predictor, keep_compiled
        from training.processors import allowed

        model = model or default_model()
        path = store or default_store()
        opened = open_store(path)
        number = opened.resolve(model, version)
        card = opened.card(model, number)
        made = card.created.isoformat()
        asked = Job(source, model, number, scale, ink.value if ink else None, workers or allowed(), strict, made)
        job = OpenJob(asked)
        if resumes:
            _make_folder(out)
            check_folder(out, parts[0][0].of)
        missing = [part for part in parts if force or not resumes or not job.is_complete(*part)]
        done, tell = Done(), Unread("rows")
        rows = [job.rows(of) for of, _ in missing]
        with _progress(None if None in rows else sum(filter(None, rows)), check) as watch:
            if missing and engine is Engine.RAY:
                from training.prediction import on_ray

                everywhere = path if "://" in path else str(Path(path).expanduser().absolute())
                there = replace(asked, source=source.absolute())
                done = on_ray.run(there, everywhere, [(of, file.absolute()) for of, file in missing], watch, tell)
            elif missing:
                keep_compiled(opened.path)
                predictor = Predictor.load(opened, model, number, row_sizes=[job.row_size])
                began = time.perf_counter()
                for part in missing:
                    done += job.run(predictor, *part, watch, tell)
        tell.rest()
    seconds = time.perf_counter() - began
    skipped = len(parts) - len(missing)
    if as_json:
        counts = {"files": len(missing), "complete_before": skipped, "seconds": round(seconds, 3)}
        typer.echo(json.dumps({"model": model, "version": number, **asdict(done), **counts}))
        return
    said = []
    if skipped:
        said.append(f"{skipped} of {len(parts)} shards were complete")
    if missing:
        accepted = f", {done.accepted / done.rows:.1%} accepted" if done.rows and card.trust else ""
        unread = f", {done.unread:,} not readable" if done.unread else ""
        speed = f"{done.rows / seconds:,.0f} rows/s"
        said.append(f"{done.rows:,} rows by {model} version {number}{accepted}{unread}, {speed}")
    stdout.print(f"{out}: {'; '.join(said)}", soft_wrap=True, markup=False)


def _parts(out: Path, shards: int | None, shard: str | None) -> list[tuple[Shard, Path]]:
    """The shards that are asked for, each with its file."""
    is_file = out.suffix.lower() == ".parquet" and not out.is_dir()
    if shards and shard:
        raise typer.BadParameter("--shards are all and --shard is one, want only one of them", param_hint="--shard")
    if is_file and (shards or shard):
        raise typer.BadParameter(f"{out.name} is a file, want a folder for the files of shards", param_hint="OUT")
    if is_file:
        return [(Shard(0, 1), out)]
    try:
        chosen = [Shard.parse(shard)] if shard else [Shard(index, shards or 1) for index in range(shards or 1)]
    except ShardError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from None
    return [(of, of.file(out)) for of in chosen]


def _check_apart(source: Path, out: Path, part: Path) -> None:
    """Ends the command with an error if answers would replace the input, or be read as input the next time."""
    from training.data.digits import DataError

    place = part.parent if source.is_dir() else part
    with friendly_errors():
        if source.exists() and place.exists() and place.samefile(source):
            raise DataError(f"{out}: is IN or inside it, want another place")


def _make_folder(out: Path) -> None:
    """Makes the folder for the files of shards unless it is there. Raises DataError."""
    from training.data.digits import DataError

    if out.is_file():
        raise DataError(f"{out}: is a file, want a folder, or a file that ends in .parquet")
    if out.name.lower().endswith(OTHER_ENDINGS) and not out.exists():
        raise DataError(f"{out}: want a folder, or a file that ends in .parquet")
    if not out.parent.is_dir():
        raise DataError(f"{out}: want a folder in a folder that exists")
    out.mkdir(exist_ok=True)


@contextmanager
def _progress(rows: int | None, check: "Callable[[], None]") -> "Iterator[Callable[[int], None]]":
    """A progress bar over so many rows; yields what counts them, and ends the command if a signal has come."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[speed]} rows/s"))
    with Progress(*columns, TimeRemainingColumn(), console=stderr, transient=True) as progress:
        task = progress.add_task("", total=rows, speed="-")

        def watch(more: int) -> None:
            check()
            speed = progress.tasks[task].speed
            progress.update(task, advance=more, speed=f"{speed:,.0f}" if speed else "-")

        yield watch


@contextmanager
def _interrupted(*, resumes: bool) -> "Iterator[None]":
    try:
        yield
    except Stopped as stopped:
        again = "; the same command goes on with the shards that are not complete" if resumes else ""
        stderr.print(f"{stopped}{again}", style="yellow", soft_wrap=True)
        raise typer.Exit(stopped.exit_code) from None
