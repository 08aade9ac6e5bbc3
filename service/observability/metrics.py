"""What Prometheus is told. With several workers, any of them tells of all of them."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service.observability.batch_metrics import BatchMetrics
from service.observability.buffered_histogram import BufferedHistogram
from service.observability.drift_monitor import DriftMonitor
from service.observability.process_metrics import ProcessMetrics
from training.drift import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics import MetricWrapperBase

    from service.engine.batcher import BatchObserver
    from service.models.canary import Canary
    from service.models.loaded_version import LoadedVersion
    from service.models.registry import LoadedModel, ModelRegistry
    from service.models.store_watcher import RejectedVersion
    from training.drift import Reference
    from training.predictor import Predictor

    Labels = tuple[str, ...]

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder where workers keep their counts; read when prometheus_client is imported."""
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
VERSION: Final = ("model", "version")
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WAIT_S: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
REQUEST_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
STAGES: Final = ("decode", "encode")
INFERENCE_S: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)


class RouteMetrics:
    """The requests of one method at one route: those in flight, and how long those took that are done."""

    __slots__ = ("_by_status", "_durations", "in_flight", "method", "route")

    def __init__(self, method: str, route: str, durations: Histogram) -> None:
        self.method, self.route, self.in_flight = method, route, 0
        self._durations = durations
        self._by_status: dict[int, BufferedHistogram] = {}

    def done(self, status: int, seconds: float) -> None:
        """Counts a request that has been answered."""
        tally = self._by_status.get(status)
        if tally is None:
            child = self._durations.labels(self.method, self.route, str(status))
            tally = self._by_status[status] = BufferedHistogram(child, REQUEST_S)
        tally.add(seconds)

    def flush(self) -> None:
        """Shows what has been counted."""
        for tally in self._by_status.values():
            tally.flush()


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._batch_rows = Histogram(
            "digits_batch_rows", "Pictures in a batch, without padding", VERSION, buckets=ROWS, registry=registry
        )
        self._padding_rows = Counter(
            "digits_padding_rows", "Empty rows that filled batches up to a compiled size", VERSION, registry=registry
        )
        self._inference = Histogram(
            "digits_inference_seconds", "Time to compute a batch", VERSION, buckets=INFERENCE_S, registry=registry
        )
        self._wait = Histogram(
            "digits_queue_wait_seconds",
            "Time from a request's arrival at the engine to the start of its first batch",
            VERSION,
            buckets=WAIT_S,
            registry=registry,
        )
        self._compilations = Counter(
            "digits_compilations_after_ready", "Compilations that requests had to wait for; 0", registry=registry
        )
        self._live = Gauge(
            "digits_live_version",
            "1 for a version that is loaded",
            VERSION,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._staying_out = Gauge(
            "digits_version_staying_out",
            "1 for a version that is wanted and could not be loaded; /readyz?verbose says more of the reason",
            (*VERSION, "reason"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._failed = Counter(
            "digits_failed_requests", "Requests that a version failed on", VERSION, registry=registry
        )
        self._canary_out = Gauge(
            "digits_canary_out",
            "1 for a challenger that was taken out as a canary; /readyz?verbose says why",
            VERSION,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._compared = Counter(
            "digits_compared_pictures", "Pictures that a challenger answered in the shadow", VERSION, registry=registry
        )
        self._differing = Counter(
            "digits_differing_pictures", "Those of them that got another digit than before", VERSION, registry=registry
        )
        self._shadow_dropped = Counter(
            "digits_shadow_dropped_requests", "Requests that there was no time to compare", VERSION, registry=registry
        )
        self._drift = Gauge(
            "digits_drift_statistic",
            "Population stability index of the last pictures against the card's reference; with workers, the largest",
            (*VERSION, "kind"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._drift_alarm = Gauge(
            "digits_drift_alarm",
            "1 where that is larger than chance makes it and large enough to matter",
            (*VERSION, "kind"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._durations = Histogram(
            "digits_request_duration_seconds",
            "Time from the head of a request to the end of its answer; 499 is a client that hung up",
            ("method", "route", "status"),
            buckets=REQUEST_S,
            registry=registry,
        )
        self._in_flight = Gauge(
            "digits_requests_in_flight",
            "Requests that are being answered; of other workers as of the last second",
            ("method", "route"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._queue = Gauge(
            "digits_queue_rows",
            "Pictures that wait for the engine; of other workers as of the last second",
            VERSION,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._stages = Counter(
            "digits_stage_seconds",
            "Time that went into reading bodies and writing answers",
            ["stage"],
            registry=registry,
        )
        self.stage_seconds = dict.fromkeys(STAGES, 0.0)
        """What is not in the counter yet."""
        self._info = Gauge(
            "digits_model_info",
            "1 for a version that is loaded, with what it is: the default one, the challenger or another one",
            (*VERSION, "role"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        Gauge(
            "digits_build_info",
            "1, with the versions of the program and of JAX",
            ("version", "jax"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version("digits"), version("jax")).set(1)
        self._routes: dict[tuple[str, str], RouteMetrics] = {}
        self._engines: dict[Labels, BatchMetrics] = {}
        self._drifts: dict[Labels, DriftMonitor] = {}
        self._informed: set[Labels] = set()
        self._shown: set[Labels] = set()
        self._out: set[Labels] = set()
        self._by_version = (
            *(self._batch_rows, self._padding_rows, self._inference, self._wait, self._failed),
            *(self._canary_out, self._compared, self._differing, self._shadow_dropped),
        )
        self._refused = Counter(
            "digits_refused_requests", "Requests that got an error, by its code", ["code"], registry=registry
        )
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def watch(self, predictor: Predictor) -> BatchObserver:
        """What an engine reports its batches to."""
        labels = _labels(predictor)
        if labels in self._engines:
            self._engines[labels].flush()
        self._engines[labels] = watch = BatchMetrics(
            predictor,
            self._padding_rows.labels(*labels),
            BufferedHistogram(self._batch_rows.labels(*labels), ROWS),
            BufferedHistogram(self._inference.labels(*labels), INFERENCE_S),
            BufferedHistogram(self._wait.labels(*labels), WAIT_S),
        )
        return watch

    def drift(self, predictor: Predictor, reference: Reference, window_rows: int) -> DriftMonitor:
        """What follows a version's answers."""
        labels = _labels(predictor)
        gauges = {kind: (self._drift.labels(*labels, kind), self._drift_alarm.labels(*labels, kind)) for kind in KINDS}

        def tell(found: Mapping[str, tuple[float, bool]]) -> None:
            for kind, (index, alarm) in found.items():
                statistic, alarms = gauges[kind]
                statistic.set(index)
                alarms.set(alarm)

        self._drifts[labels] = drift = DriftMonitor(reference, window_rows, tell)
        return drift

    def route(self, method: str, template: str) -> RouteMetrics:
        """What requests of a method at a route are reported to."""
        key = method if method in METHODS else "other", template
        return self._routes.setdefault(key, RouteMetrics(*key, self._durations))

    def refresh(self, live: ModelRegistry | None) -> None:
        """Shows what requests have left behind, what is in flight, and what waits at this moment."""
        for stage, seconds in self.stage_seconds.items():
            self._stages.labels(stage).inc(seconds)
            self.stage_seconds[stage] = 0.0
        for watch in self._routes.values():
            watch.flush()
            self._in_flight.labels(watch.method, watch.route).set(watch.in_flight)
        self._flush_versions()
        for loaded in live.versions() if live else ():
            self._queue.labels(*_labels(loaded)).set(loaded.batcher.waiting_rows)

    def _flush_versions(self) -> None:
        for engine in list(self._engines.values()):
            engine.flush()
        for drift in list(self._drifts.values()):
            drift.flush()

    def show(self, live: ModelRegistry, refusals: Iterable[RejectedVersion]) -> None:
        """Says what is loaded and what stays out, and forgets what was before: its labels do not outlive it by long."""
        loaded: set[Labels] = {_labels(of) for of in live.versions()}
        out: set[Labels] = {(of.model, str(of.version or ""), type(of.error).__name__) for of in refusals}
        informed: set[Labels] = {
            (name, str(number), _role(model, loaded_version))
            for name, model in live.models().items()
            for number, loaded_version in model.versions.items()
        }
        for labels in self._shown - loaded:
            self._engines.pop(labels, None)
            self._drifts.pop(labels, None)
        self._forget(self._shown - loaded, self._live, *self._by_version)
        for kind in KINDS:
            gone = {(*labels, kind) for labels in self._shown - loaded}
            self._forget(gone, self._drift)
            self._forget(gone, self._drift_alarm)
        self._forget(self._shown - loaded, self._queue)
        self._forget(self._informed - informed, self._info)
        self._forget(self._out - out, self._staying_out)
        for labels in loaded:
            self._live.labels(*labels).set(1)
        for labels in out:
            self._staying_out.labels(*labels).set(1)
        for labels in informed:
            self._info.labels(*labels).set(1)
        self._shown, self._out, self._informed = loaded, out, informed

    def _forget(self, gone: set[Labels], gauge: Gauge, *others: MetricWrapperBase) -> None:
        for labels in gone:
            gauge.labels(*labels).set(0)
            if SHARED_FOLDER not in os.environ:  # workers can't take back what they have shared
                for metric in (gauge, *others):
                    metric.remove(*labels)

    def compiled(self) -> None:
        """Counts a compilation. Everything should have been compiled before."""
        self._compilations.inc()

    def failed(self, live: LoadedVersion) -> None:
        """Counts a request that a version failed on."""
        self._failed.labels(*_labels(live)).inc()

    def canary(self, canary: Canary) -> None:
        """Says whether a challenger has been taken out."""
        self._canary_out.labels(*_labels(canary.challenger)).set(canary.taken_out is not None)

    def compared(self, live: LoadedVersion, *, pictures: int, differing: int) -> None:
        """Counts pictures that were compared in the shadow, and those that got another digit."""
        self._compared.labels(*_labels(live)).inc(pictures)
        self._differing.labels(*_labels(live)).inc(differing)

    def shadow_dropped(self, live: LoadedVersion) -> None:
        """Counts a request that there was no time to compare."""
        self._shadow_dropped.labels(*_labels(live)).inc()

    def refused(self, code: str) -> None:
        """Counts a request that got an error."""
        self._refused.labels(code).inc()

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        self._flush_versions()
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no types for it
            registry.register(ProcessMetrics(os.environ[SHARED_FOLDER]))
        return generate_latest(registry)


def _role(model: LoadedModel, loaded: LoadedVersion) -> str:
    if loaded is model.default:
        return "default"
    return "challenger" if loaded is model.challenger else "other"


def _labels(of: LoadedVersion | Predictor) -> tuple[str, str]:
    return of.name, str(of.version)
