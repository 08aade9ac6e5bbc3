"""Shards on Ray Data: an actor on any machine of a Ray cluster answers one shard after another."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray would send statistics to its makers
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # or it would print an error about every actor
try:
    import ray
    import ray.data
except ImportError as error:
    raise ImportError("--engine ray wants the package ray: python -m pip install 'ray[data]'") from error

from training.data.digits import DataError
from training.errors import DigitsError
from training.prediction.job import Done, OpenJob
from training.prediction.shard import Shard
from training.processors import NPROC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.prediction.job import Job

MOST_NAMED = 10
"""Maximum number of rows of a shard that cannot be read that are named."""


class ShardActor:
    """A process with one processor that loads a version once, and then answers shards. All its paths are absolute."""

    def __init__(self, job: Job, store: str) -> None:
        os.environ[NPROC] = "1"  # before JAX starts: the other processors have actors of their own
        from training.predictor import Predictor, keep_compiled
        from training.settings import StoreSettings
        from training.store import Store

        opened = Store.of(StoreSettings(store=store))
        keep_compiled(opened.path)
        self._job = OpenJob(replace(job, workers=1))
        self._predictor = Predictor.load(opened, job.model, job.version, row_sizes=[self._job.row_size])

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What came of a row with a shard and its file: counts, rows that cannot be read, an error or None."""
        told: list[str] = []
        try:
            shard, file = Shard(row["index"], row["of"]), Path(row["file"])
            done = self._job.run(self._predictor, shard, file, tell=told.append)
        except DigitsError as error:  # Ray would wrap it in exceptions of its own
            return {**asdict(Done()), "told": [], "error": str(error)}
        return {**asdict(done), "told": told[:MOST_NAMED], "error": None}


def run(
    job: Job,
    store: str,
    parts: Sequence[tuple[Shard, Path]],
    watch: Callable[[int], None],
    tell: Callable[[str], None],
) -> Done:
    """Answers shards on the cluster at RAY_ADDRESS, or on all processors of this machine without one.

    Every machine must see the store, the input and the output at the same absolute paths. Raises DataError as a shard
    on this machine does.
    """
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.init(logging_level=logging.ERROR, log_to_driver=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items(
            [{"index": shard.index, "of": shard.of, "file": str(file)} for shard, file in parts],
            override_num_blocks=len(parts),
        )
        # a second shard that waits for an actor is what makes Ray start another one
        actors = ray.data.ActorPoolStrategy(min_size=1, max_size=len(parts), max_tasks_in_flight_per_actor=2)
        done = Done()
        for row in rows.map(ShardActor, fn_constructor_args=(job, store), compute=actors, num_cpus=1).iter_rows():
            if row["error"] is not None:
                raise DataError(row["error"])
            for text in row["told"]:
                tell(text)
            more = Done(row["rows"], row["unread"], row["accepted"])
            done += more
            watch(more.rows)
        return done
    finally:
        ray.shutdown()
