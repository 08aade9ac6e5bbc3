"""A job: what is read, which version answers, and where the answers are written."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import jax
import numpy as np

from training.answers import ACCEPTED, VERDICT
from training.data.digits import DataError
from training.network.compiled import ACCELERATOR_ROW_SIZES, ROW_SIZES
from training.prediction.answers_table import answered, schema_of, table_of
from training.prediction.batch import Pixels, preparing
from training.prediction.folder_rows import PATH
from training.prediction.parquet_rows import KEPT_PATH
from training.prediction.part import SHARD, is_complete, writing
from training.prediction.source import FILES_AT_ONCE, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from training.answers import Answers
    from training.picture import Ink
    from training.prediction.batch import Batch
    from training.prediction.part import Said
    from training.prediction.shard import Shard
    from training.predictor import Predictor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Job:
    """Rows to answer. Plain data, which can go to other processes and machines."""

    source: Path
    model: str
    version: int
    scale: float
    ink: Ink | None
    workers: int
    """Processes that prepare picture files; 1: this one."""
    strict: bool
    """Whether a row that cannot be read is an error."""
    trained_at: str = ""
    """When the version was made: the same number may be another version's after its store was made anew."""


@dataclass(frozen=True)
class Done:
    """What came of some rows."""

    rows: int = 0
    unread: int = 0
    """Number of rows that could not be read."""
    accepted: int = 0
    """Number of accepted answers; 0 where the version's card has no limits."""

    def __add__(self, other: Done) -> Done:
        return Done(self.rows + other.rows, self.unread + other.unread, self.accepted + other.accepted)


class OpenJob:
    """A job whose input is open. Raises DataError for input that cannot be read."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._source = open_source(job.source)
        self._schema = schema_of(self._source.kept)
        self._rows = self._source.rows

    @property
    def row_size(self) -> int:
        """The batch size for the predictor. With a single one, an answer is the same to the last bit in any shard."""
        sizes = ROW_SIZES if jax.default_backend() == "cpu" else ACCELERATOR_ROW_SIZES
        return FILES_AT_ONCE if self._source.pictures else sizes[-1]

    def rows(self, shard: Shard) -> int | None:
        """How many rows a shard has; None for all rows of a source that only counting would tell."""
        first, stop = self._range(shard)
        return None if stop is None else stop - first

    def is_complete(self, shard: Shard, file: Path) -> bool:
        """Whether a shard's file is there already. Raises DataError when it is another job's."""
        return is_complete(file, self._said(shard))

    def run(
        self,
        predictor: Predictor,
        shard: Shard,
        file: Path,
        watch: Callable[[int], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Done:
        """Writes the answers to the rows of a shard into a file, which appears whole or not at all.

        `watch` is called with the number of rows of each batch, and may raise to end the job; `tell` gets a line for
        each row that cannot be read. Raises DataError for input that cannot be read and output that cannot be written.
        """
        first, stop = self._range(shard)
        done = Done()
        with (
            writing(file, self._schema, self._said(shard)) as add,
            preparing(self._job.workers, self._job.ink) as prepared,
            ThreadPoolExecutor(1) as reader,
        ):
            read = self._source.read(first, stop)
            pixels = Pixels(self._job.source, self._job.scale, self._job.ink)
            batches = prepared(read) if self._source.pictures else pixels.batches(read)
            for batch in _ahead(reader, batches):
                answers = answered(batch, predictor)
                add(table_of(batch, answers, self._schema, predictor.name, predictor.version))
                for row, problem in sorted(batch.problems.items()):
                    text = f"{self._job.source}: {_name(batch, row, first + done.rows)}: {problem}"
                    if self._job.strict:
                        raise DataError(text)
                    tell(text)
                done += _done(batch, answers)
                watch(len(batch.images))
        return done

    def _range(self, shard: Shard) -> tuple[int, int | None]:
        if self._rows is None and shard.of > 1:
            self._rows = self._source.count()
        return (0, None) if self._rows is None else shard.rows(self._rows)

    @cached_property
    def _content(self) -> str:
        return _hash_state(self._job.source, self._source.files())

    def _said(self, shard: Shard) -> Said:
        """What a part says of itself: two parts that say the same have the same answers."""
        job = self._job
        self._range(shard)
        facts: Said = {"input": job.source.resolve().name, "rows": self._rows, "content": self._content}
        facts |= {"scale": job.scale, "ink": job.ink}
        facts |= {"model": job.model, "version": job.version, "trained_at": job.trained_at}
        return {**facts, "shards": shard.of, SHARD: str(shard)}


def _ahead(reader: ThreadPoolExecutor, items: Iterator[Item]) -> Iterator[Item]:
    """The items; the next one is made by the reader while this one is used."""
    waiting = reader.submit(next, items, None)
    while (item := waiting.result()) is not None:
        waiting = reader.submit(next, items, None)
        yield item


def _hash_state(source: Path, files: Iterable[Path]) -> str:
    """A hash of the names, sizes and times of change of files: another one when a file has been replaced."""
    found = hashlib.sha256()
    folder = source if source.is_dir() else source.parent
    for file in files:
        found.update(os.fsencode(file.relative_to(folder)) + b"\0")
        with suppress(OSError):  # reading it says why
            state = file.stat()
            found.update(f"{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return found.hexdigest()[:16]


def _done(batch: Batch, answers: Answers) -> Done:
    accepted = (answers.columns[:, VERDICT] == ACCEPTED) & answers.judged
    accepted[[*batch.problems]] = False
    return Done(len(accepted), len(batch.problems), int(np.count_nonzero(accepted)))


def _name(batch: Batch, row: int, place: int) -> str:
    """A row by its place, counted from 0, and its path if it has one."""
    paths = [batch.kept.column(name)[row].as_py() for name in (PATH, KEPT_PATH) if name in batch.kept.column_names]
    return f"row {place + row}" + (f" ({paths[0]})" if paths and paths[0] else "")
