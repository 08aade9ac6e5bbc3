"""The medians of contestants as a table: for a terminal, and as Markdown for the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tests.load.workloads import BYTES, CROWD, FEW, LONELY, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.load.rounds import Standing
    from tests.load.workloads import Workload
    from tests.load.wrk import Measurement

HEADS = {
    LONELY: ("1 image JSON, 1 client", "req/s (p50 ms)"),
    FEW: ("16 clients", "req/s (p99 ms)"),
    CROWD: ("64 clients", "req/s (p99 ms)"),
    NUMBERS: ("256 images JSON, 4 clients", "images/s"),
    BYTES: ("256 images bytes, 4 clients", "images/s"),
}


def table(standings: Sequence[Standing]) -> Table:
    """For a terminal."""
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column(no_wrap=True)
    for head in HEADS.values():
        drawn.add_column("\n".join(head).replace(", ", "\n"), justify="right", no_wrap=True, vertical="bottom")
    for standing in standings:
        drawn.add_row(standing.title, *_cells(standing))
    return drawn


def markdown(standings: Sequence[Standing]) -> str:
    """For the README."""
    rows = [("", *(": ".join(head) for head in HEADS.values())), ("---", *("---:" for _ in HEADS))]
    rows += [(standing.title, *_cells(standing)) for standing in standings]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def remarks(standings: Sequence[Standing]) -> list[str]:
    """Why cells are empty: what failed, and what is not taken."""
    said = [f"{standing.title} failed: {standing.failure}" for standing in standings if standing.failure]
    return said + [
        f"{standing.title} does not take bytes: {reason}"
        for standing in standings
        for reason in standing.refused.values()
    ]


def _cells(standing: Standing) -> Iterator[str]:
    medians = standing.medians
    for workload in HEADS:
        yield _cell(workload, medians[workload.name]) if workload.name in medians else "-"


def _cell(workload: Workload, median: Measurement) -> str:
    if workload.rows > 1:
        figure = f"{median.images_per_s:,.0f}"
    elif workload.clients == 1:
        figure = f"{median.requests_per_s:,.0f} ({median.p50_ms:.2f})"
    else:
        figure = f"{median.requests_per_s:,.0f} ({median.p99_ms:.1f})"
    return f"{figure}, {median.errors:,} errors" if median.errors else figure
