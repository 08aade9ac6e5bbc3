"""A loaded version of a model: predictor, engine, metrics, and the number of requests in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from service.engine.batcher import Batcher
from service.engine.errors import PredictFailed
from service.errors import BrokenAnswer
from service.observability.request_context import CURRENT
from training.answers import VERDICT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.engine.row_queue import OnBatch
    from service.observability.metrics import Metrics
    from service.observability.model_metrics import VersionMetrics
    from training.answers import Answers
    from training.images import Images
    from training.predictor import Predictor

RETIRE_TIMEOUT_S: Final = 60.0


class LoadedVersion:
    """A version that answers requests, reference-counted by a `with` block around each request.

    `retire` waits for the end of all `with` blocks.
    Not thread-safe: one event loop only.
    """

    def __init__(self, predictor: Predictor, batcher: Batcher, metrics: VersionMetrics) -> None:
        self.predictor, self.batcher, self.metrics = predictor, batcher, metrics
        self.name, self.version = predictor.name, predictor.version
        self._requests = 0
        self._idle: asyncio.Event | None = None

    @classmethod
    def start(
        cls,
        predictor: Predictor,
        metrics: Metrics,
        *,
        queue_limit_rows: int,
        threads: int = 1,
        inline_rows: int = 0,
        drift_window_rows: int = 0,
    ) -> Self:
        """Starts an engine for the version, with up to `threads` batches in computation at the same time.

        The last `drift_window_rows` answers are monitored for drift if the version's card has a reference; 0 is off.
        """
        version_metrics = metrics.models.version(predictor.name, predictor.version, predictor.padded)
        reference = predictor.reference if drift_window_rows else None
        drift = version_metrics.monitor_drift(reference, drift_window_rows) if reference else None

        def compute(images: Images) -> NDArray[np.float32]:
            columns = predictor.columns(images)
            verdicts = np.add.reduce(columns[:, VERDICT])
            if verdicts != verdicts:
                raise BrokenAnswer(
                    f"{predictor.name} version {predictor.version} answered with probabilities that are not finite"
                )
            if drift:
                drift.add(columns)
            return columns

        batcher = Batcher(
            compute,
            max_batch_rows=predictor.row_sizes[-1],
            threads=threads,
            queue_limit_rows=queue_limit_rows,
            inline_rows=inline_rows,
            observer=version_metrics.batches,
            name=f"{predictor.name}-{predictor.version}",
        )
        version_metrics.waiting_rows = lambda: batcher.waiting_rows
        return cls(predictor, batcher, version_metrics)

    def __enter__(self) -> Self:
        self._requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        if self._idle and not self._requests:
            self._idle.set()

    async def predict(self, images: Images, deadline_s: float) -> Answers:
        """Answers to images uint8 [n, 28, 28]; `deadline_s` is in `time.monotonic()` seconds.

        Raises the errors of `Batcher.submit`, and BrokenAnswer for probabilities that are not finite.
        """
        try:
            columns = await self.batcher.submit(images, deadline_s, self._begin())
        except PredictFailed as failure:
            self._count_failure(failure)
            raise
        return self.predictor.read(columns)

    def predict_now(self, images: Images, deadline_s: float, *, alone: bool) -> Answers | None:
        """As `predict`, but computed at once, or None if the engine would not. `alone`: no other request is there."""
        try:
            columns = self.batcher.compute_now(images, deadline_s, self._begin(), alone=alone)
        except PredictFailed as failure:
            self._count_failure(failure)
            raise
        return None if columns is None else self.predictor.read(columns)

    def _begin(self) -> OnBatch | None:
        """Notes the version in the request's context; returns the context's timer of batches, if it wants one."""
        context = CURRENT.get()
        if context is None:
            return None
        context.model, context.version = self.name, self.version
        return None if context.stages is None else context.batch_timer()

    def _count_failure(self, failure: PredictFailed) -> None:
        """Counts a failed prediction. Raises BrokenAnswer if that is its cause."""
        self.metrics.failed()
        if isinstance(failure.__cause__, BrokenAnswer):
            raise failure.__cause__ from None

    async def retire(self) -> None:
        """Waits for the requests in flight and closes the engine. The version must have left the registry before.

        A batch that still computes, for requests that were cancelled, is waited for a minute at most.
        """
        if self._requests:
            self._idle = asyncio.Event()
            await self._idle.wait()
        await self.batcher.close(RETIRE_TIMEOUT_S)
