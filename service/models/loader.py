"""Loads versions from the store: the version policy of the settings, compilation, golden predictions."""

from __future__ import annotations

from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from service.models.loaded_version import LoadedVersion
from service.version_policy import choose, named, wants_champion, wants_list
from training.store import CHALLENGER, CHAMPION, Store, UnknownVersion

if TYPE_CHECKING:
    from service.observability.metrics import Metrics
    from service.settings import ServiceSettings
    from training.predictor import Predictor, Threads

EVERY_MODEL: Final = "*"
_loading: ContextVar[bool] = ContextVar("loading", default=False)
"""Whether this context loads a version; any other compilation delays a request."""


class Plan(NamedTuple):
    """The versions of a model to load, ascending; the store's aliases; the version for requests without a version."""

    versions: list[int]
    aliases: dict[str, int]
    default: int


class Loader:
    """Loads the versions that the settings select. JAX is imported with the first one.

    Not thread-safe: one thread at a time.
    """

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._store = Store.of(settings)

    def models(self) -> list[str]:
        """Names of the models to load, the default model first."""
        default = self._settings.model
        others = self._settings.other_models
        if EVERY_MODEL in others:
            others = tuple(self._store.models())
        return list(dict.fromkeys([default, *others]))

    def plan(self, model: str) -> Plan:
        """The versions of a model to load now. Raises StoreError, among them UnknownModel and UnknownVersion.

        A policy of aliases and numbers asks for these alone; `all` and `latest` want a list of the versions.
        """
        aliases, policy = self._store.aliases(model), self._settings.versions
        compares = bool(self._settings.canary_share or self._settings.shadow_share)
        loaded = f"{policy},{CHALLENGER}" if compares else policy
        if wants_list(policy):
            versions, refused = self._store.versions(model), self._store.refused(model)
        else:
            versions, refused = self._store.existing(model, named(loaded, aliases)), set()
        wanted = choose(policy, versions, aliases, refused)
        champion = aliases.get(CHAMPION)
        champion_missing = champion is not None and champion not in versions and wants_champion(policy)
        if champion_missing or not wanted:
            has = ", ".join(
                [*map(str, self._store.versions(model)), *(f"{name} -> {of}" for name, of in aliases.items())]
            )
            raise UnknownVersion(f"{model} has no version that is {policy}; the store has {has}")
        default = champion if champion in wanted else wanted[-1]
        return Plan(choose(loaded, versions, aliases, refused), aliases, default)

    def load(self, model: str, version: int) -> LoadedVersion:
        """Loads a version: compiled, and verified against its golden predictions. Raises StoreError and OSError."""
        runtime = self._runtime
        token = _loading.set(True)
        try:
            predictor = runtime.predictor.load(self._store, model, version, row_sizes=runtime.threads.row_sizes)
        finally:
            _loading.reset(token)
        return LoadedVersion.start(
            predictor,
            self._metrics,
            queue_limit_rows=self._settings.queue_limit_rows,
            threads=runtime.threads.at_once,
            inline_rows=runtime.threads.inline_rows,
            drift_window_rows=self._settings.drift_window_rows,
        )

    @cached_property
    def _runtime(self) -> _Runtime:
        """JAX with its settings; lazy, since importing JAX takes seconds."""
        from training.predictor import Predictor, compute_alone, keep_compiled, on_compilation

        threads = compute_alone(self._settings.device)
        keep_compiled(self._store.path, self._settings.compiled)
        on_compilation(self._count_compilation)
        return _Runtime(Predictor, threads)

    def _count_compilation(self) -> None:
        if not _loading.get():  # a request waits for this compilation
            self._metrics.models.compiled()


class _Runtime(NamedTuple):
    predictor: type[Predictor]
    threads: Threads
