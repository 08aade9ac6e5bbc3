"""Challengers beside champions: who answers a request that names no version, and who is only compared."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from service.engine.batcher import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.errors import BrokenAnswer
from service.models.canary import Canary
from service.models.shadow import Shadow

if TYPE_CHECKING:
    from service.headers import Headers
    from service.models.loaded_version import LoadedVersion
    from service.observability.metrics import Metrics
    from service.settings import ServiceSettings
    from training.answers import Answers
    from training.images import Images

ITS_OWN_FAULT = (BrokenAnswer, Closed, EngineDead, PredictFailed, QueueFull)
"""A challenger that fails so harms nobody: the champion answers in its place."""


class Experiment:
    """The challengers of all models: at most one each, the version that the alias `challenger` stands for."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._header = settings.canary_header.lower().encode()
        self._canaries: dict[str, Canary] = {}
        self._shadow = Shadow(metrics)

    @property
    def taken_out(self) -> list[Canary]:
        """Challengers that answer no more."""
        return [canary for canary in self._canaries.values() if canary.taken_out]

    async def answer(
        self,
        champion: LoadedVersion,
        challenger: LoadedVersion | None,
        images: Images,
        deadline_s: float,
        headers: Headers,
    ) -> tuple[LoadedVersion, Answers]:
        """Answers to images uint8 [n, 28, 28], and which of the two has given them.

        Raises what `LoadedVersion.answer` raises for the champion.
        """
        canary = self._canary(champion.name, challenger)
        if canary and canary.wants(headers.get(self._header)):
            answers = await self._try(canary, images, deadline_s)
            if answers is not None:
                return canary.challenger, answers
        answers = await champion.answer(images, deadline_s)
        if canary and random.random() < self._settings.shadow_share:  # noqa: S311 - no secret
            self._shadow.copy(champion, canary.challenger, images, answers.digits)
        return champion, answers

    async def close(self) -> None:
        """Ends what is still being compared."""
        await self._shadow.close()

    def _canary(self, name: str, challenger: LoadedVersion | None) -> Canary | None:
        """The trial of a model's challenger; another challenger starts another one."""
        if challenger is None:
            self._canaries.pop(name, None)
            return None
        canary = self._canaries.get(name)
        if canary is None or canary.challenger is not challenger:
            canary = self._canaries[name] = Canary(challenger, self._settings)
        return canary

    async def _try(self, canary: Canary, images: Images, deadline_s: float) -> Answers | None:
        """The challenger's answer, or None when it failed. Raises DeadlineExceeded: there is no time for another."""
        began = time.monotonic()
        try:
            with canary.challenger:
                answers = await canary.challenger.answer(images, deadline_s)
        except ITS_OWN_FAULT:
            self._note(canary, began, failed=True)
            return None
        except DeadlineExceeded:  # of the client's choice: what counts is whether the challenger took too long
            self._note(canary, began, failed=False)
            raise
        self._note(canary, began, failed=False)
        return answers

    def _note(self, canary: Canary, began_s: float, *, failed: bool) -> None:
        canary.note(failed=failed, seconds=time.monotonic() - began_s)
        self._metrics.canary(canary)
