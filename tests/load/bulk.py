"""`python -m tests.load.bulk`: `training predict` on a million pictures, beside the predictor alone in a loop."""

import resource
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
import typer
from pyarrow import parquet
from rich.table import Table

from tests.load.environment import Others, warn_of_others
from training import mnist
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import ModelArgument, StoreOption, default_model, default_store, open_store
from training.data.columns import PIXEL_NAMES
from training.network.compiled import ROW_SIZES
from training.prediction.job import Job, OpenJob
from training.prediction.shard import Shard
from training.prediction.source import NUMBERS_AT_ONCE
from training.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.images import Images

ALONE = "the predictor alone"
ROW_GROUP = 10_000
"""Rows of a row group: each shard reads its own ones only."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example:  python -m tests.load.bulk lenet --pictures 1000000")
def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    pictures: Annotated[int, typer.Option(min=1000, help="Number of pictures: MNIST's, again and again.")] = 1_000_000,
    shards: Annotated[
        int, typer.Option(min=1, help="Each measurement is of one of so many shards, in turns; medians count.")
    ] = 10,
) -> None:
    """Measure bulk prediction from .npz and Parquet beside the predictor alone: pictures a second, processor time."""
    with friendly_errors(), tempfile.TemporaryDirectory() as name:
        folder, images, others = Path(name), mnist.train().images, Others()
        with stderr.status(f"writing {pictures:,} pictures"):
            inputs = [_npz(folder, images, pictures), _parquet(folder, images, pictures)]
        predictor = Predictor.load(
            open_store(store or default_store()), model or default_model(), row_sizes=[ROW_SIZES[-1]]
        )
        before_mb, measured = _memory_mb(), _Measured()
        for index in range(shards):
            shard = Shard(index, shards)
            first, stop = shard.rows(pictures)
            measured(ALONE, stop - first, lambda rows=stop - first: _alone(predictor, images, rows))
            for path in inputs:
                job = OpenJob(Job(path, predictor.name, predictor.version, 255.0, None, 1, strict=True))
                run = partial(job.run, predictor, shard, folder / "answers.parquet")
                measured(f"{path.suffix} to .parquet", stop - first, run)
        measured.print()
    stdout.print(f"memory: {before_mb:,.0f} MB before, {_memory_mb():,.0f} MB at most")
    warn_of_others(others.share)


class _Measured:
    """Seconds, and seconds of all processors, that so many rows took, by name."""

    def __init__(self) -> None:
        self._wall: dict[str, list[float]] = {}
        self._processors: dict[str, list[float]] = {}

    def __call__(self, name: str, rows: int, call: "Callable[[], object]") -> None:
        wall, processors = time.perf_counter(), time.process_time()
        call()
        self._wall.setdefault(name, []).append((time.perf_counter() - wall) / rows)
        self._processors.setdefault(name, []).append((time.process_time() - processors) / rows)

    def print(self) -> None:
        """Medians, and the medians of the ratios to the predictor alone."""
        table = Table("", "pictures/s", "ratio", "processor us/picture", "ratio", box=None)
        for name, seconds in self._wall.items():
            processors = self._processors[name]
            table.add_row(
                name,
                f"{1 / median(seconds):,.0f}",
                f"{_ratio(self._wall[ALONE], seconds):.2f}",
                f"{median(processors) * 1e6:.1f}",
                f"{_ratio(self._processors[ALONE], processors):.2f}",
            )
        stdout.print(table)


def _ratio(alone: list[float], other: list[float]) -> float:
    return median(by / seconds for by, seconds in zip(alone, other, strict=True))


def _alone(predictor: Predictor, images: "Images", rows: int) -> None:
    """The predictor's answers to so many rows, in batches as bulk prediction has them."""
    for first in range(0, rows, NUMBERS_AT_ONCE):
        size = min(NUMBERS_AT_ONCE, rows - first)
        begin = first % (len(images) - size)
        predictor.columns(images[begin : begin + size])


def _npz(folder: Path, images: "Images", rows: int) -> Path:
    path = folder / "pictures.npz"
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *images.shape[1:])}
    with zipfile.ZipFile(path, "w") as archive, archive.open("images.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, rows, len(images)):
            file.write(images[: rows - first].data)
    return path


def _parquet(folder: Path, images: "Images", rows: int) -> Path:
    """One column a pixel, as `training data export` writes them."""
    pixels = np.ascontiguousarray(images.reshape(len(images), -1).T)
    table = pa.table(dict(zip(PIXEL_NAMES, map(pa.array, pixels), strict=True)))
    path = folder / "pictures.parquet"
    with parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for first in range(0, rows, len(table)):
            writer.write_table(table.slice(0, rows - first), ROW_GROUP)
    return path


def _memory_mb() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    app(prog_name="python -m tests.load.bulk")
