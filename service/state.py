"""The state of a process while it serves: one frozen, typed record of what requests use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.auth.keys import Keys
from service.feedback.async_corrections import AsyncCorrections
from service.feedback.rate_limit import RateLimit
from service.feedback.recent_predictions import RecentPredictions
from service.http.offload import Offload
from service.models.experiment import Experiment
from service.models.loader import Loader
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.observability.certificate import certificate_end_s
from service.observability.metrics import Metrics
from service.observability.tracing import tracing_from_environment

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from service.observability.tracing import Tracing
    from service.settings import ServiceSettings


@dataclass(frozen=True)
class ServiceState:
    """What a process holds while it serves."""

    settings: ServiceSettings
    metrics: Metrics
    registry: ModelRegistry
    watcher: StoreWatcher | None
    """Loads the registry and keeps it up to date; None leaves the registry as it is."""
    experiment: Experiment | None
    """Canary and shadow, if the settings give a challenger any traffic."""
    corrections: AsyncCorrections
    corrections_limit: RateLimit
    recent: RecentPredictions
    offload: Offload
    keys: Keys
    tracing: Tracing | None
    requests: set[asyncio.Task[None]]
    """The tasks of the requests in flight, which the server adds."""
    notify_workers: Callable[[], None]
    """Makes the other workers look at the store."""


def make_state(
    settings: ServiceSettings,
    *,
    registry: ModelRegistry | None = None,
    metrics: Metrics | None = None,
    watcher: StoreWatcher | None = None,
    recent: RecentPredictions | None = None,
    tracing: Tracing | None = None,
    notify_workers: Callable[[], None] = lambda: None,
) -> ServiceState:
    """The state of a process with these settings.

    Without a `registry`, an empty one is made with a watcher that loads it from the store. `recent` is by default in
    memory that no other worker reads. `tracing` is by default what the environment asks for; raises TracingUnavailable.
    """
    metrics = metrics or Metrics()
    if settings.tls_cert:
        metrics.set_certificate_end(certificate_end_s(settings.tls_cert))
    if registry is None:
        registry = ModelRegistry()
        thread = StoreThread(settings.load_timeout_s)
        watcher = StoreWatcher(Loader(settings, metrics), registry, metrics, thread, settings.poll_interval_s)
    return ServiceState(
        settings=settings,
        metrics=metrics,
        registry=registry,
        watcher=watcher,
        experiment=Experiment(settings) if settings.canary_share or settings.shadow_share else None,
        corrections=AsyncCorrections(
            settings.corrections_url,
            settings.feedback_retention_days,
            make_folder=settings.feedback_url is not None,  # or else the folder is the store
        ),
        corrections_limit=RateLimit(settings.feedback_limit_per_minute),
        recent=recent or RecentPredictions(settings.recent_predictions),
        offload=Offload(),
        keys=Keys(settings.keys_file),
        tracing=tracing or tracing_from_environment(),
        notify_workers=notify_workers,
        requests=set(),
    )
