"""Splits traffic between champion and challenger: canary and shadow."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from service.engine.errors import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from service.errors import BrokenAnswer
from service.models.canary import Canary
from service.models.shadow import Shadow

if TYPE_CHECKING:
    from service.headers import Headers
    from service.models.loaded_version import LoadedVersion
    from service.settings import ServiceSettings
    from training.answers import Answers
    from training.images import Images

CHALLENGER_FAULTS: Final = (BrokenAnswer, Closed, EngineDead, PredictFailed, QueueFull)
"""Failures of a challenger after which the champion answers as a fallback."""


class Experiment:
    """Canary and shadow of every model; its challenger is the version with the alias `challenger`.

    Not thread-safe: one event loop only.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._header = settings.canary_header.lower().encode()
        self._canaries: dict[str, Canary] = {}
        self._shadow = Shadow()

    @property
    def taken_out(self) -> list[Canary]:
        """The canaries that were disabled."""
        return [canary for canary in self._canaries.values() if canary.taken_out]

    async def predict(
        self,
        champion: LoadedVersion,
        challenger: LoadedVersion | None,
        images: Images,
        deadline_s: float,
        headers: Headers,
    ) -> tuple[LoadedVersion, Answers]:
        """The answering version, champion or challenger, and its answers to images uint8 [n, 28, 28].

        Raises the errors of `LoadedVersion.predict` for the champion, and DeadlineExceeded for the challenger.
        """
        canary = self._canary(champion.name, challenger)
        if canary and canary.selects(headers.get(self._header)):
            answers = await self._try_challenger(canary, images, deadline_s)
            if answers is not None:
                return canary.challenger, answers
        answers = await champion.predict(images, deadline_s)
        if canary and random.random() < self._settings.shadow_share:  # noqa: S311 - no secret
            self._shadow.copy(champion, canary.challenger, images, answers.digits)
        return champion, answers

    async def close(self) -> None:
        """Waits for the shadow comparison in progress."""
        await self._shadow.close()

    def _canary(self, name: str, challenger: LoadedVersion | None) -> Canary | None:
        """The canary of a model's challenger; a new challenger gets a new canary."""
        if challenger is None:
            self._canaries.pop(name, None)
            return None
        canary = self._canaries.get(name)
        if canary is None or canary.challenger is not challenger:
            canary = self._canaries[name] = Canary(challenger, self._settings)
        return canary

    async def _try_challenger(self, canary: Canary, images: Images, deadline_s: float) -> Answers | None:
        """The challenger's answers, or None if it failed. Raises DeadlineExceeded: too late for the champion."""
        began_s = time.monotonic()
        try:
            with canary.challenger:
                answers = await canary.challenger.predict(images, deadline_s)
        except CHALLENGER_FAULTS:
            canary.note(failed=True, seconds=time.monotonic() - began_s)
            return None
        except DeadlineExceeded:  # the client chose the deadline, so only the challenger's latency counts
            canary.note(failed=False, seconds=time.monotonic() - began_s)
            raise
        canary.note(failed=False, seconds=time.monotonic() - began_s)
        return answers
