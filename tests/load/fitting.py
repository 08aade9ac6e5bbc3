"""`python -m tests.load.fitting`: how long digits and other libraries train the same networks, side by side."""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.load.contest import NETWORKS, Contender, compete
from tests.load.environment import machine, peers_python, processor_seconds_of_others
from tests.load.peers.contender import BATCH
from tests.load.quickest import quickest
from training import mnist
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption

if TYPE_CHECKING:
    from tests.load.contest import Standing
    from tests.load.quickest import Quickest

EPOCH = 60_000
"""Pictures; what was measured on a share of them is given in seconds for so many."""
QUIET = 0.05
"""The share of the processors that others may take before figures are called into question."""
COMPARED_WITH = 2
"""The place among the contenders of the library that all are compared with: PyTorch as its tutorials have it."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example:  python -m tests.load.fitting --rounds 5 --json")
def main(
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each; the median counts.")] = 3,
    batches: Annotated[
        int, typer.Option(min=1, max=EPOCH // BATCH, help=f"Batches of {BATCH} that a measurement takes.")
    ] = 468,
    as_json: JsonOption = False,
) -> None:
    """Train the same networks with digits, PyTorch, Keras and scikit-learn, in turns, on the same digits of MNIST.

    Then one lenet from an empty process to at most 1.0 % of error. These figures compare what is in one run.
    """
    with friendly_errors():
        found, theirs = machine(), peers_python()
        began, others = time.perf_counter(), processor_seconds_of_others()
        standings = _standings(theirs, rounds, batches)
        fastest = quickest()
        others = (processor_seconds_of_others() - others) / (time.perf_counter() - began) / (os.cpu_count() or 1)
    if as_json:
        answer = {
            "machine": found,
            "share_of_others": others,
            "images": EPOCH,
            "images_measured": batches * BATCH,
            "batch": BATCH,
            "contenders": [{**asdict(standing), "median": standing.medians} for standing in standings],
            "quickest": asdict(fastest),
        }
        typer.echo(msgspec.json.encode(answer))
        return
    stdout.print(
        f"{found['processor']}, {found['processors']} processors, {found['system']}, Python {found['python']}\n"
        f"seconds for {EPOCH:,} pictures in batches of {BATCH}, median of {rounds} x {batches * BATCH:,}; "
        f"in brackets: how many times as fast as {standings[COMPARED_WITH].library}",
        soft_wrap=True,
    )
    stdout.print(_table(standings))
    stdout.print(_sentence(fastest), soft_wrap=True)
    if others > QUIET:
        stdout.print(
            f"other processes took {others:.0%} of the processors meanwhile: these figures say little, least of all "
            "those of libraries whose threads wait for each other busily (PyTorch, scikit-learn)",
            style="yellow",
            soft_wrap=True,
        )


def _standings(theirs: Path, rounds: int, batches: int) -> "list[Standing]":
    ours, peers = Path(sys.executable), "tests.load.peers"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = Path(folder) / "digits.npz"
        digits = mnist.train().take(np.arange(batches * BATCH))
        np.savez(data, images=digits.images, labels=digits.labels)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        progress = stack.enter_context(Progress(*columns, console=stderr, transient=True, refresh_per_second=2))
        task = progress.add_task("starting", total=None)
        contenders = (
            Contender(ours, "tests.load.ours", data),
            Contender(ours, "tests.load.ours", data, "distorted"),
            Contender(theirs, f"{peers}.pytorch", data),
            Contender(theirs, f"{peers}.pytorch", data, "tuned"),
            Contender(theirs, f"{peers}.keras3", data, "jax"),
            Contender(theirs, f"{peers}.keras3", data, "torch"),
            Contender(theirs, f"{peers}.scikit_learn", data),
        )
        for contender in contenders:
            stack.enter_context(contender)
        total = (rounds + 1) * sum(len(contender.networks) for contender in contenders)
        progress.update(task, total=total, completed=-1)

        def watch(library: str, network: str) -> None:
            progress.update(task, advance=1, description=f"{library}: {network}")

        return compete(contenders, rounds, EPOCH / (batches * BATCH), watch)


def _table(standings: "list[Standing]") -> Table:
    table = Table("", box=None, pad_edge=False)
    for network in NETWORKS:
        table.add_column(network, justify="right", no_wrap=True)
    reference = standings[COMPARED_WITH].medians
    for standing in standings:
        medians = standing.medians
        cells = (
            f"{medians[network]:.1f} ({reference[network] / medians[network]:.2f})" if network in medians else "-"
            for network in NETWORKS
        )
        table.add_row(standing.library, *cells)
    return table


def _sentence(found: "Quickest") -> str:
    met = "" if found.test_error <= found.wanted_error else f", which misses {found.wanted_error:.1%}"
    return (
        f"from an empty process to a published lenet with a test error of {found.test_error:.2%}{met}: "
        f"{found.seconds:.1f} s, compilation and {found.epochs} epochs included"
    )


if __name__ == "__main__":
    app(prog_name="python -m tests.load.fitting")
