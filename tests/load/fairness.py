"""`python -m tests.load.fairness`: how long one picture takes while others ask for thousands."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import numpy as np
import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.load.champion import champion_of
from tests.load.contestants import CONTESTANTS
from tests.load.environment import Others, machine, warn_of_others
from tests.load.open_loop import offer
from tests.load.server import adopt_orphans
from tests.load.wrk import load, wrk
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption, ModelArgument, StoreOption, default_model, default_store

if TYPE_CHECKING:
    from tests.load.champion import Champion
    from tests.load.server import Server
    from tests.load.workloads import Form

ROWS = 4096
"""Pictures in a large request: as many as the service takes."""
SMALL_PER_S = 25
"""How often the one picture is asked for; not in a loop, or its requests would avoid the worst moments."""
LEAD_S = 1
"""So long before and after, the others ask, too."""
WIDTH = 110
"""Columns that the table takes; rather than have its names cut, a narrower terminal wraps its lines."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


class Neighbours(NamedTuple):
    """Clients that ask for ROWS pictures again and again, and the p99 that is wanted beside them."""

    name: str
    form: "Form"
    clients: int
    wanted_p99_ms: float | None = None


NEIGHBOURS = (
    Neighbours("nobody", "one", 0),
    Neighbours("4,096 images bytes, 1 client", "raw", 1, 25),
    Neighbours("4,096 images bytes, 8 clients", "raw", 8),
    Neighbours("4,096 images JSON, 1 client", "many", 1, 60),
    Neighbours("4,096 images JSON, 4 clients", "many", 4),
)


@dataclass(frozen=True)
class Share:
    """What one picture took beside these neighbours, and what those got."""

    neighbours: str
    p50_ms: float
    p99_ms: float
    longest_ms: float
    unanswered: int
    """Of the requests for one picture: without an answer, or with another status than 200."""
    images_per_s: float
    """Of the neighbours."""
    wanted_p99_ms: float | None

    @property
    def met(self) -> bool:
        """Whether every picture had its answer, and in the time that is wanted."""
        return not self.unanswered and (self.wanted_p99_ms is None or self.p99_ms <= self.wanted_p99_ms)


@app.command(epilog="Example:  python -m tests.load.fairness lenet --seconds 5")
def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    seconds: Annotated[int, typer.Option(min=1, help="How long each measurement takes.")] = 20,
    keep: Annotated[Path | None, typer.Option(help="Write all figures to this file, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for one picture at a steady rate, beside clients that ask for 4,096 pictures again and again."""
    with friendly_errors():
        wrk()
        adopt_orphans()
        found, others = machine(), Others()
        with champion_of(store or default_store(), model or default_model()) as champion:
            shares = _shares(champion, seconds)
        busy = others.share
        answer = {
            "machine": found,
            "share_of_others": busy,
            "seconds": seconds,
            "shares": [{**asdict(share), "met": share.met} for share in shares],
        }
        if keep is not None:
            keep.write_bytes(msgspec.json.format(msgspec.json.encode(answer)) + b"\n")
    if as_json:
        typer.echo(msgspec.json.encode(answer))
        return
    stdout.width = max(stdout.width, WIDTH)
    stdout.print(_table(shares))
    warn_of_others(busy)


def _shares(champion: "Champion", seconds: int) -> list[Share]:
    digits = CONTESTANTS[0]
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        digits.server(champion) as server,
        Progress(*columns, console=stderr, transient=True, refresh_per_second=1) as progress,
        ThreadPoolExecutor(1) as pool,
    ):
        task = progress.add_task("starting", total=None)
        server.wait(digits.dialect("one", champion.pictures[:1]))
        shares = []
        for neighbours in NEIGHBOURS:
            progress.update(task, description=f"one picture beside {neighbours.name}")
            shares.append(_beside(neighbours, server, champion, seconds, pool))
        return shares


def _beside(
    neighbours: Neighbours, server: "Server", champion: "Champion", seconds: int, pool: ThreadPoolExecutor
) -> Share:
    dialect = CONTESTANTS[0].dialect
    images_per_s = 0.0
    small = dialect("one", champion.pictures[:1])
    if neighbours.clients:
        large = dialect(neighbours.form, np.resize(champion.pictures, (ROWS, champion.pictures.shape[1])))
        asking = pool.submit(load, server.port, large, ROWS, neighbours.clients, seconds + 2 * LEAD_S)
        offer(server.port, small, SMALL_PER_S, LEAD_S, lambda: None)  # until the others are at it, and all is warm
        outcome, _ = offer(server.port, small, SMALL_PER_S, seconds, lambda: None)
        images_per_s = asking.result().images_per_s
    else:
        outcome, _ = offer(server.port, small, SMALL_PER_S, seconds, lambda: None)
    took = np.array(outcome.seconds_of_200 or [np.inf]) * 1e3
    return Share(
        neighbours=neighbours.name,
        p50_ms=float(np.percentile(took, 50)),
        p99_ms=float(np.percentile(took, 99)),
        longest_ms=float(took.max()),
        unanswered=outcome.asked - outcome.ends["200"],
        images_per_s=images_per_s,
        wanted_p99_ms=neighbours.wanted_p99_ms,
    )


def _table(shares: list[Share]) -> Table:
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column("beside")
    for column in ("p50 ms", "p99 ms", "longest ms", "unanswered", "wanted p99 ms", "their images/s"):
        drawn.add_column(column, justify="right")
    for share in shares:
        wanted = "-" if share.wanted_p99_ms is None else f"{share.wanted_p99_ms:,.0f}"
        figures = (f"{share.p50_ms:,.1f}", f"{share.p99_ms:,.1f}", f"{share.longest_ms:,.1f}", f"{share.unanswered:,}")
        style = None if share.met else "red"
        drawn.add_row(share.neighbours, *figures, wanted, f"{share.images_per_s:,.0f}", style=style)
    return drawn


if __name__ == "__main__":
    app(prog_name="python -m tests.load.fairness")
