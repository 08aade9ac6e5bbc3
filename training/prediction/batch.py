"""A batch of rows, ready for the predictor: numbers are checked, picture files are prepared by worker processes."""

from __future__ import annotations

import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from io import BytesIO
from multiprocessing import connection, get_context, parent_process
from os import _exit
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.data.digits import DataError
from training.data.picture_file import read_levels, readable, small_digit
from training.data.pixels import check_scale, wrong_pixel
from training.images import SIDE, PixelError, quantise
from training.picture import find_line, polarity
from training.picture.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from training.images import Images
    from training.picture import Ink
    from training.prediction.source import Files, Numbers

TOGETHER = 16
"""Picture files that a worker process gets at once."""
AHEAD = 3
"""Batches of files that worker processes are ahead of the predictor."""


class Batch(NamedTuple):
    """Consecutive rows of a source."""

    images: Images
    """uint8 [n, 28, 28]; blank where there is a problem or a line."""
    problems: dict[int, str]
    """Row -> why it cannot be read."""
    lines: dict[int, Line]
    """Row -> the pieces of a picture of another size than 28 x 28."""
    kept: pa.Table
    """The other columns."""


class Pixels:
    """Numbers -> batches; `path` and `scale` are for errors and for what full ink is. With black ink 0 is full ink."""

    def __init__(self, path: Path, scale: float, ink: Ink | None) -> None:
        self._path, self._scale, self._ink = path, scale, ink
        self._seen_ink = False

    def batches(self, numbers: Iterable[Numbers]) -> Iterator[Batch]:
        """A batch for each. Raises DataError if no pixel of the first one with ink is above 1, and 255 is full ink."""
        for pixels, kept in numbers:
            images, problems = self._images(pixels)
            if not self._seen_ink and images.any():
                check_scale(self._path, pixels, self._scale)
                self._seen_ink = True
            yield Batch(255 - images if self._ink == "black" else images, problems, {}, kept)

    def _images(self, pixels: NDArray[Any]) -> tuple[Images, dict[int, str]]:
        try:
            return quantise(pixels, self._scale), {}
        except PixelError:
            images, problems = np.zeros((len(pixels), SIDE, SIDE), np.uint8), {}
        for row, of in enumerate(pixels):
            try:
                images[row] = quantise(of[None], self._scale)[0]
            except PixelError as error:
                problems[row] = wrong_pixel(error)
        return images, problems


@contextmanager
def preparing(workers: int, ink: Ink | None) -> Iterator[Callable[[Iterable[Files]], Iterator[Batch]]]:
    """Yields a function from files to batches, in their order; with more than one worker, processes prepare them."""
    if workers <= 1:
        yield lambda batches: (_joined(files, [prepare(files.files, ink)]) for files in batches)
        return
    # forking would copy JAX's threads half-way
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        try:
            yield lambda batches: _pooled(pool, batches, ink)
        except BrokenProcessPool as error:
            raise DataError("a process that prepares pictures was killed; fewer --workers take less memory") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prepare(files: list[Path | bytes | None], ink: Ink | None) -> list[Images | Line | str]:
    """Of each file: uint8 [28, 28] of a picture of that size, the pieces of another one, or why it cannot be read."""
    return [_prepared(file, ink) for file in files]


def _prepared(file: Path | bytes | None, ink: Ink | None) -> Images | Line | str:
    if file is None:
        return "there is no picture"
    try:
        with readable():
            grey, small = read_levels(BytesIO(file) if isinstance(file, bytes) else file, ink)
            return small_digit(grey, ink or polarity(grey)) if small else find_line(grey, ink)
    except DataError as error:
        return str(error)


def _pooled(pool: ProcessPoolExecutor, batches: Iterable[Files], ink: Ink | None) -> Iterator[Batch]:
    waiting: deque[tuple[Files, list[Future[list[Images | Line | str]]]]] = deque()
    for files in batches:
        parts = [files.files[first : first + TOGETHER] for first in range(0, len(files.files), TOGETHER)]
        waiting.append((files, [pool.submit(prepare, part, ink) for part in parts]))
        if len(waiting) > AHEAD:
            first, prepared = waiting.popleft()
            yield _joined(first, [of.result() for of in prepared])
    while waiting:
        first, prepared = waiting.popleft()
        yield _joined(first, [of.result() for of in prepared])


def _joined(files: Files, parts: list[list[Images | Line | str]]) -> Batch:
    images = np.zeros((len(files.files), SIDE, SIDE), np.uint8)
    batch = Batch(images, {}, {}, files.kept)
    for row, of in enumerate(of for part in parts for of in part):
        if isinstance(of, str):
            batch.problems[row] = of
        elif isinstance(of, Line):
            batch.lines[row] = of
        else:
            images[row] = of
    return batch


def _begin_worker() -> None:
    """A worker leaves signals of the terminal to its parent, and ends with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        connection.wait([parent.sentinel])
        _exit(1)
