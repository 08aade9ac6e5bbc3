"""Makes what is loaded follow the store: new versions are loaded beside the running ones and take their places."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from service.models.registry import LoadedModel, ModelRegistry
from training.store import CHAMPION

if TYPE_CHECKING:
    from service.models.loaded_version import LoadedVersion
    from service.models.loader import Plan
    from service.observability.metrics import Metrics

PATIENCE_S: Final = 5.0
"""After so long a version that could not be loaded is tried again, and then after twice as long every time."""
LONGEST_PATIENCE_S: Final = 600.0
log = logging.getLogger("uvicorn.error")


class Source(Protocol):
    """Where versions come from; `loader.Loader` is one."""

    def models(self) -> list[str]: ...
    def plan(self, model: str) -> Plan: ...
    def load(self, model: str, version: int) -> LoadedVersion: ...


class RejectedVersion(NamedTuple):
    """A version that is wanted and stays out; version None is a model of which the store says nothing."""

    model: str
    version: int | None
    error: Exception
    times: int
    again_s: float
    """When to try again, as `time.monotonic` counts."""

    @property
    def title(self) -> str:
        """What stays out, for people to read."""
        return self.model if self.version is None else f"{self.model} version {self.version}"


class StoreWatcher:
    """Keeps what is loaded up to date with what is wanted, and remembers what could not be loaded."""

    def __init__(self, source: Source, metrics: Metrics, poll_s: float) -> None:
        self._source, self._metrics, self._poll_s = source, metrics, poll_s
        self._refusals: dict[tuple[str, int | None], RejectedVersion] = {}
        self._lock, self._wake = asyncio.Lock(), asyncio.Event()

    @property
    def refusals(self) -> list[RejectedVersion]:
        """What is wanted and stays out."""
        return list(self._refusals.values())

    def start(self) -> ModelRegistry:
        """All that is wanted, loaded for the first time. Raises what kept the default model out."""
        loaded = {name: model for name in self._source.models() if (model := self._bring(name, None))}
        default = self._source.models()[0]
        if default not in loaded:
            raise next(refusal.error for refusal in self.refusals if refusal.model == default)
        live = ModelRegistry(loaded)
        self._metrics.show(live, self.refusals)
        return live

    async def run(self, live: ModelRegistry) -> None:
        """Follows until it is cancelled: at intervals, and at once after `wake`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s or None):
                    await self._wake.wait()
            asked = self._wake.is_set()
            self._wake.clear()
            try:
                await self.follow(live, anew=asked)
            except Exception:
                log.exception("the store could not be followed")  # and the next time it may

    def wake(self) -> None:
        """Makes `run` look at the store at once."""
        self._wake.set()

    async def follow(self, live: ModelRegistry, *, anew: bool = True) -> None:
        """Brings what is loaded up to date; `anew` also tries what was refused not long ago.

        Whatever cannot be loaded stays out, and what runs goes on.
        """
        async with self._lock:
            for name in await asyncio.to_thread(self._source.models):
                current = live.models().get(name)
                model = await asyncio.to_thread(self._bring, name, current, anew=anew)
                if model is not None and model != current:
                    self._announce(name, live.show(name, model), model)
            self._metrics.show(live, self.refusals)

    def _announce(self, name: str, gone: list[LoadedVersion], model: LoadedModel) -> None:
        loaded = ", ".join(model.title(live) for live in model.versions.values())
        left = f"; retired: {', '.join(str(live.version) for live in gone)}" if gone else ""
        log.warning("%s: version %s answers; loaded: %s%s", name, model.default.version, loaded, left)

    # What follows blocks, and is called on another thread than the event loop's.

    def _bring(self, name: str, current: LoadedModel | None, *, anew: bool = True) -> LoadedModel | None:
        """What is to be loaded of a model, loaded; None where there is nothing new to say, or nothing at all."""
        try:
            plan = self._source.plan(name)
        except Exception as error:  # whatever a damaged store makes a library raise
            self._refuse(name, None, error)
            return None
        for key in [key for key in self._refusals if key[0] == name and key[1] not in plan.versions]:
            del self._refusals[key]
        versions = {}
        for number in plan.versions:
            running = current.versions.get(number) if current else None
            if live := running or self._load(name, number, anew=anew):
                versions[number] = live
        aliases, default = dict(plan.aliases), versions.get(plan.default)
        if default is None and current is not None:  # nothing has taken the place of what answers until now
            default = versions[current.default.version] = current.default
            aliases[CHAMPION] = default.version
        if default is None and versions:
            default = versions[max(versions)]
        return LoadedModel(versions, aliases, default) if default else None

    def _load(self, name: str, number: int, *, anew: bool) -> LoadedVersion | None:
        refused = self._refusals.get((name, number))
        if refused and not anew and time.monotonic() < refused.again_s:
            return None
        try:
            live = self._source.load(name, number)
        except Exception as error:  # whatever a damaged version makes a library raise
            self._refuse(name, number, error)
            return None
        self._refusals.pop((name, number), None)
        return live

    def _refuse(self, name: str, number: int | None, error: Exception) -> None:
        before = self._refusals.get((name, number))
        times = before.times + 1 if before else 1
        again_s = time.monotonic() + min(PATIENCE_S * 2 ** (times - 1), LONGEST_PATIENCE_S)
        self._refusals[name, number] = refusal = RejectedVersion(name, number, error, times, again_s)
        if before is None or str(before.error) != str(error):
            log.error("%s stays out: %s", refusal.title, error)
