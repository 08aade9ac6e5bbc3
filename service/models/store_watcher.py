"""Polls the store; loads and retires versions to match it. New versions are loaded beside the running ones."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from service.models.registry import LoadedModel
from training.store import CHAMPION

if TYPE_CHECKING:
    from service.models.loaded_version import LoadedVersion
    from service.models.loader import Plan
    from service.models.registry import ModelRegistry
    from service.models.store_thread import StoreThread
    from service.observability.metrics import Metrics

RETRY_AFTER_S: Final = 5.0
"""Seconds until a rejected version is loaded again; doubled with every failure (exponential backoff)."""
LONGEST_RETRY_AFTER_S: Final = 600.0
LEAST_WAIT: Final = 0.75
"""Shortest time between two polls, as a share of the longest."""
log = logging.getLogger("uvicorn.error")


class Source(Protocol):
    """A source of versions, such as `loader.Loader`. Its methods block."""

    def models(self) -> list[str]: ...
    def plan(self, model: str) -> Plan: ...
    def load(self, model: str, version: int) -> LoadedVersion: ...


class RejectedVersion(NamedTuple):
    """A wanted version that could not be loaded; version None if the model itself could not be read from the store."""

    model: str
    version: int | None
    error: Exception
    times: int
    retry_s: float
    """Time of the next attempt in `time.monotonic()` seconds."""

    @property
    def title(self) -> str:
        """Name of the version in messages: `lenet version 3`."""
        return self.model if self.version is None else f"{self.model} version {self.version}"


class StoreWatcher:
    """Keeps a registry up to date with a source, and lists the versions that could not be loaded.

    The source is called on another thread, each call for at most the timeout of `thread`.
    Not thread-safe: one event loop at a time.
    """

    def __init__(
        self, source: Source, registry: ModelRegistry, metrics: Metrics, thread: StoreThread, poll_s: float
    ) -> None:
        self._source, self._registry, self._metrics = source, registry, metrics
        self._thread, self._poll_s = thread, poll_s
        self._rejected: dict[tuple[str, int | None], RejectedVersion] = {}
        self._lock, self._wake = asyncio.Lock(), asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()  # the event loop holds only weak references to tasks

    @property
    def rejected(self) -> list[RejectedVersion]:
        """The wanted versions that could not be loaded."""
        return list(self._rejected.values())

    async def start(self) -> None:
        """Loads all wanted versions for the first time. Raises the error of the default model, and StoreTimeout."""
        names = await self._thread.call(self._source.models)
        loaded = {name: model for name in names if (model := await self._load_model(name, None))}
        if names[0] not in loaded:
            raise next(rejected.error for rejected in self.rejected if rejected.model == names[0])
        for name, model in loaded.items():
            self._registry.swap(name, model)
        self._update_metrics()

    def close(self) -> None:
        """Ends the thread of the source without waiting for it."""
        self._thread.close()

    async def run(self) -> None:
        """Syncs until the task is cancelled: at least every `poll_s` seconds, and at once after `wake`.

        The times between are random, so that processes that started together do not ask the store together.
        """
        wait_s = random.uniform(0, self._poll_s)  # noqa: S311
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s or None):
                    await self._wake.wait()
            wait_s = self._poll_s * random.uniform(LEAST_WAIT, 1)  # noqa: S311
            woken = self._wake.is_set()
            self._wake.clear()
            try:
                await self.sync(retry=woken)
            except Exception:  # the next sync may succeed
                log.exception("the store could not be followed")

    def wake(self) -> None:
        """Makes `run` poll the store at once."""
        self._wake.set()

    async def sync(self, *, retry: bool = True) -> None:
        """Loads and retires versions to match the source; with `retry`, rejected versions are tried without backoff.

        A version that cannot be loaded is rejected, and the running versions go on. Raises StoreTimeout when another
        sync has not ended in time.
        """
        try:
            async with asyncio.timeout(self._thread.timeout_s):
                await self._lock.acquire()
        except TimeoutError:
            raise self._thread.timeout() from None
        try:
            for name in await self._models():
                current = self._registry.models().get(name)
                model = await self._load_model(name, current, retry=retry)
                if model is not None and model != current:
                    self._log_swap(name, self._registry.swap(name, model), model)
            self._update_metrics()
        finally:
            self._lock.release()

    async def _models(self) -> list[str]:
        """The models to sync; if the source fails, none, and all that are loaded are rejected."""
        try:
            return await self._thread.call(self._source.models)
        except Exception as error:  # a damaged store may make a library raise anything
            for name in self._registry.models():
                self._reject(name, None, error)
            return []

    def _update_metrics(self) -> None:
        self._metrics.models.set_loaded(
            (name, number, model.role(version))
            for name, model in self._registry.models().items()
            for number, version in model.versions.items()
        )
        self._metrics.models.set_rejected(
            (rejected.model, rejected.version, type(rejected.error).__name__) for rejected in self.rejected
        )

    def _log_swap(self, name: str, retired: list[LoadedVersion], model: LoadedModel) -> None:
        loaded = ", ".join(model.title(version) for version in model.versions.values())
        gone = f"; retired: {', '.join(str(version.version) for version in retired)}" if retired else ""
        log.warning("%s: version %s answers; loaded: %s%s", name, model.default.version, loaded, gone)

    async def _load_model(self, name: str, current: LoadedModel | None, *, retry: bool = True) -> LoadedModel | None:
        """Loads the new versions of a model; None if the source fails or no version can be loaded."""
        try:
            plan = await self._thread.call(lambda: self._source.plan(name))
        except Exception as error:  # a damaged store may make a library raise anything
            self._reject(name, None, error)
            return None
        for key in [key for key in self._rejected if key[0] == name and key[1] not in plan.versions]:
            del self._rejected[key]
        versions = {}
        for number in plan.versions:
            running = current.versions.get(number) if current else None
            if version := running or await self._load_version(name, number, retry=retry):
                versions[number] = version
        aliases, default = dict(plan.aliases), versions.get(plan.default)
        if default is None and current is not None:  # the running default goes on until its successor is loaded
            default = versions[current.default.version] = current.default
            aliases[CHAMPION] = default.version
        if default is None and versions:
            default = versions[max(versions)]
        return LoadedModel(versions, aliases, default) if default else None

    async def _load_version(self, name: str, number: int, *, retry: bool) -> LoadedVersion | None:
        rejected = self._rejected.get((name, number))
        if rejected and not retry and time.monotonic() < rejected.retry_s:
            return None
        try:
            version = await self._thread.call(lambda: self._source.load(name, number), self._retire)
        except Exception as error:  # a damaged version may make a library raise anything
            self._reject(name, number, error)
            return None
        self._rejected.pop((name, number), None)
        return version

    def _retire(self, late: LoadedVersion) -> None:
        """Closes the engine of a version that was loaded too late."""
        retiring = asyncio.get_running_loop().create_task(late.retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    def _reject(self, name: str, number: int | None, error: Exception) -> None:
        before = self._rejected.get((name, number))
        times = before.times + 1 if before else 1
        retry_s = time.monotonic() + min(RETRY_AFTER_S * 2 ** (times - 1), LONGEST_RETRY_AFTER_S)
        self._rejected[name, number] = rejected = RejectedVersion(name, number, error, times, retry_s)
        if before is None or str(before.error) != str(error):
            log.error("%s stays out: %s", rejected.title, error)
