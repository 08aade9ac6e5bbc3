"""A version that answers requests: a predictor, the engine that feeds it, and how many requests hold on to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import numpy as np

from service.engine.batcher import Batcher, PredictFailed
from service.errors import BrokenAnswer
from service.observability.request_context import CURRENT
from training.answers import VERDICT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.observability.metrics import Metrics
    from training.answers import Answers
    from training.images import Images
    from training.predictor import Predictor


class LoadedVersion:
    """A loaded version. A request is a `with` block of it, from finding it to the answer: it is not retired meanwhile.

    Its requests belong to one event loop.
    """

    def __init__(self, predictor: Predictor, batcher: Batcher, metrics: Metrics) -> None:
        self.predictor, self.batcher, self._metrics = predictor, batcher, metrics
        self.name, self.version = predictor.name, predictor.version
        self._requests = 0
        self._unused: asyncio.Event | None = None

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
        """The version with an engine of its own, which computes up to `threads` batches at the same time.

        The last answers are followed for drift, if the version has a reference.
        """
        reference = predictor.reference if drift_window_rows else None
        drift = metrics.drift(predictor, reference, drift_window_rows) if reference else None

        def compute(images: Images) -> NDArray[np.float32]:
            columns = predictor.columns(images)
            if np.isnan(columns[:, VERDICT]).any():  # JSON has no word for such numbers, and nobody a use
                raise BrokenAnswer(
                    f"{predictor.name} version {predictor.version} answered with probabilities that are not finite"
                )
            if drift:
                drift.follow(columns)
            return columns

        batcher = Batcher(
            compute,
            max_batch_rows=predictor.row_sizes[-1],
            threads=threads,
            queue_limit_rows=queue_limit_rows,
            inline_rows=inline_rows,
            watch=metrics.watch(predictor),
            name=f"{predictor.name}-{predictor.version}",
        )
        return cls(predictor, batcher, metrics)

    def __enter__(self) -> Self:
        self._requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        if self._unused and not self._requests:
            self._unused.set()

    async def answer(self, images: Images, deadline_s: float) -> Answers:
        """Answers to images uint8 [n, 28, 28].

        Raises what `Batcher.submit` raises, and BrokenAnswer for what are no probabilities.
        """
        seen = CURRENT.get()
        if seen is not None:
            seen.model, seen.version = self.name, self.version
        timed = seen.times_of_batches() if seen is not None and seen.stages is not None else None
        try:
            columns = await self.batcher.submit(images, deadline_s, timed)
        except PredictFailed as failure:
            self._metrics.failed(self)
            if isinstance(failure.__cause__, BrokenAnswer):
                raise failure.__cause__ from None
            raise
        return self.predictor.read(columns)

    async def retire(self) -> None:
        """Ends the engine when the last request has left. Nobody must find the version any more."""
        if self._requests:
            self._unused = asyncio.Event()
            await self._unused.wait()
        await self.batcher.close()
