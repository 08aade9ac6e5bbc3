"""Which versions are loaded: each a predictor and the engine that feeds it, found by name and number or alias."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from service.batching import Batcher
from service.decode import shortened
from service.errors import NotReady, UnknownModel, UnknownVersion
from training.store import CHAMPION, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.metrics import Metrics
    from service.settings import ServiceSettings
    from training.predictor import Predictor

INLINE_ROWS: Final = 1
"""A picture alone is computed on the event loop: 0.07 ms, where the way to another thread and back takes as long."""


class LiveVersion(NamedTuple):
    """A version that answers requests."""

    predictor: Predictor
    batcher: Batcher

    @property
    def name(self) -> str:
        """The model's name."""
        return self.predictor.name

    @property
    def version(self) -> int:
        """The version's number."""
        return self.predictor.version

    @classmethod
    def start(cls, predictor: Predictor, metrics: Metrics, *, queue_limit_rows: int, inline_rows: int = 0) -> Self:
        """The version with an engine of its own."""
        batcher = Batcher(
            predictor,
            max_batch_rows=predictor.row_sizes[-1],
            queue_limit_rows=queue_limit_rows,
            inline_rows=inline_rows,
            watch=metrics.watch(predictor),
            name=f"{predictor.name}-{predictor.version}",
        )
        return cls(predictor, batcher)


class Live:
    """The loaded versions. The first model is the one meant when a request names none, its champion likewise.

    `aliases` are the store's, model -> alias -> version, those of versions that are not loaded included.
    """

    def __init__(self, versions: Iterable[LiveVersion], aliases: Mapping[str, Mapping[str, int]]) -> None:
        self._models: dict[str, dict[int, LiveVersion]] = {}
        for version in versions:
            self._models.setdefault(version.name, {})[version.version] = version
        self._aliases = aliases
        self._draining_since_s: float | None = None
        self.default_model = next(iter(self._models))

    @classmethod
    def load(cls, settings: ServiceSettings, metrics: Metrics) -> Self:
        """The champion of `settings.model`, compiled and proven against its golden predictions. Raises StoreError."""
        # JAX takes seconds, and fakes need none
        from training.predictor import Predictor, compute_in_place, keep_compiled, on_compilation

        compute_in_place()
        store = Store(settings.store)
        keep_compiled(store.path)
        predictor = Predictor.load(store, settings.model, CHAMPION)
        on_compilation(metrics.compiled)
        version = LiveVersion.start(
            predictor, metrics, queue_limit_rows=settings.queue_limit_rows, inline_rows=INLINE_ROWS
        )
        # Whoever promotes another version in this very moment does not change what has been loaded here.
        return cls([version], {settings.model: {**store.aliases(settings.model), CHAMPION: predictor.version}})

    def resolve(self, model: str | None = None, version: str | None = None) -> LiveVersion:
        """The version that a request means. Raises UnknownModel, UnknownVersion, which say what is loaded."""
        name = self.default_model if model is None else model
        if name not in self._models:
            found, loaded = shortened(name), ", ".join(self._models)
            raise UnknownModel(
                "unknown_model",
                f"model {found!r} is not loaded; loaded: {loaded}",
                field="model",
                found=found,
                wanted=loaded,
            )
        versions, aliases = self._models[name], self._aliases.get(name, {})
        given = CHAMPION if version is None else version
        for number, live in versions.items():
            if aliases.get(given) == number or str(number) == given:
                return live
        found, loaded = shortened(given), ", ".join(self._title(live) for live in versions.values())
        elsewhere = f" is version {aliases[given]} of {name}, which" if given in aliases else f" of {name}"
        raise UnknownVersion(
            "unknown_version",
            f"version {found!r}{elsewhere} is not loaded; loaded: {loaded}",
            field="version",
            found=found,
            wanted=loaded,
        )

    def aliases(self, live: LiveVersion) -> list[str]:
        """Aliases that stand for a version, sorted."""
        return sorted(alias for alias, number in self._aliases.get(live.name, {}).items() if number == live.version)

    def versions(self) -> list[LiveVersion]:
        """All that is loaded, the default model's first."""
        return [live for versions in self._models.values() for live in versions.values()]

    @property
    def alive(self) -> bool:
        """Whether every engine has its thread; one that lost it answers nothing any more."""
        return all(live.batcher.alive for live in self.versions())

    def check_ready(self) -> None:
        """Raises NotReady while draining and when an engine has stopped."""
        if self.draining:
            raise NotReady("draining", "the service is shutting down")
        if not self.alive:
            raise NotReady("engine_stopped", "the engine of a model has stopped")

    @property
    def draining(self) -> bool:
        """Whether the service has been told to stop."""
        return self._draining_since_s is not None

    def drain(self) -> None:
        """Makes readiness fail, so that nobody sends anything new. Requests are still answered."""
        if self._draining_since_s is None:
            self._draining_since_s = time.monotonic()

    async def close(self, timeout_s: float | None = None) -> None:
        """Refuses new requests, finishes the accepted ones, ends the engines; the timeout runs from `drain` on."""
        self.drain()
        if timeout_s is not None and self._draining_since_s is not None:
            timeout_s = max(0.0, timeout_s - (time.monotonic() - self._draining_since_s))
        await asyncio.gather(*(live.batcher.close(timeout_s) for live in self.versions()))

    def _title(self, live: LiveVersion) -> str:
        names = self.aliases(live)
        return f"{live.version} ({', '.join(names)})" if names else f"{live.version}"
