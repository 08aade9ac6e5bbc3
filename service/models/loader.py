"""From the store to versions that answer: which are wanted, and how one is loaded."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from service.models.loaded_version import LoadedVersion
from service.version_policy import choose, wants_champion
from training.store import CHALLENGER, CHAMPION, Store, UnknownVersion

if TYPE_CHECKING:
    from service.observability.metrics import Metrics
    from service.settings import ServiceSettings

INLINE_ROWS: Final = 1
"""A picture alone is computed on the event loop: 0.07 ms, where the way to another thread and back takes as long."""
EVERY_MODEL: Final = "*"
_loading: ContextVar[bool] = ContextVar("loading", default=False)


class Plan(NamedTuple):
    """What of a model is to be loaded, ascending, the store's aliases, and which version answers when none is named."""

    versions: list[int]
    aliases: dict[str, int]
    default: int


class Loader:
    """Loads what the settings ask for."""

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        # JAX takes seconds, and fakes need none
        from training.predictor import Predictor, compute_alone, keep_compiled, on_compilation

        self._settings, self._metrics, self._predictor = settings, metrics, Predictor
        self._store = Store(settings.store)
        self._threads = compute_alone()
        keep_compiled(self._store.path, settings.compiled)
        on_compilation(self._compiled)

    def _compiled(self) -> None:
        if not _loading.get():  # then a request waits for it
            self._metrics.compiled()

    def models(self) -> list[str]:
        """Names of the models that are wanted, the default one first."""
        default = self._settings.model
        others = self._settings.other_models
        if EVERY_MODEL in others:
            others = tuple(self._store.models())
        return list(dict.fromkeys([default, *others]))

    def plan(self, model: str) -> Plan:
        """What of a model is wanted now. Raises StoreError, with UnknownModel and UnknownVersion among them."""
        versions, aliases = self._store.versions(model), self._store.aliases(model)
        policy = self._settings.versions
        wanted = choose(policy, versions, aliases, self._store.refused(model))
        champion = aliases.get(CHAMPION)
        gone = champion is not None and champion not in versions and wants_champion(policy)
        if gone or not wanted:
            has = ", ".join([*map(str, versions), *(f"{name} -> {of}" for name, of in aliases.items())])
            raise UnknownVersion(f"{model} has no version that is {policy}; the store has {has}")
        default = champion if champion in wanted else wanted[-1]
        if self._settings.canary_share or self._settings.shadow_share:
            wanted = choose(f"{policy},{CHALLENGER}", versions, aliases, self._store.refused(model))
        return Plan(wanted, aliases, default)

    def load(self, model: str, version: int) -> LoadedVersion:
        """A version, compiled, and proven against its golden predictions. Raises StoreError and OSError."""
        loading = _loading.set(True)
        try:
            predictor = self._predictor.load(self._store, model, version, row_sizes=self._threads.row_sizes)
        finally:
            _loading.reset(loading)
        return LoadedVersion.start(
            predictor,
            self._metrics,
            queue_limit_rows=self._settings.queue_limit_rows,
            threads=self._threads.at_once,
            inline_rows=INLINE_ROWS,
            drift_window_rows=self._settings.drift_window_rows,
        )
