"""Metrics of model versions: batches, failures, canary and shadow, drift, and which versions are loaded or rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from service.observability.batch_metrics import BatchMetrics
from service.observability.buffered_histogram import BufferedHistogram
from service.observability.drift_monitor import DriftMonitor
from training.drift import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics import MetricWrapperBase

    from training.drift import Reference

    Labels = tuple[str, ...]

VERSION: Final = ("model", "version")
BATCH_BUCKETS_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WAIT_BUCKETS_S: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
INFERENCE_BUCKETS_S: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)


class VersionMetrics:
    """The metrics of one loaded version, with its labels bound; made by `ModelMetrics.version`. Thread-safe.

    `batches` is the observer of the version's engine, `waiting_rows` returns the number of rows in the engine's queue.
    """

    def __init__(self, owner: ModelMetrics, labels: tuple[str, str], padded: Callable[[int], int]) -> None:
        self._owner, self.labels = owner, labels
        self.batches = BatchMetrics(
            padded,
            owner.padding_rows.labels(*labels),
            BufferedHistogram(owner.batch_rows.labels(*labels), BATCH_BUCKETS_ROWS),
            BufferedHistogram(owner.inference.labels(*labels), INFERENCE_BUCKETS_S),
            BufferedHistogram(owner.wait.labels(*labels), WAIT_BUCKETS_S),
        )
        self.drift: DriftMonitor | None = None
        self.waiting_rows: Callable[[], int] | None = None

    def monitor_drift(self, reference: Reference, window_rows: int) -> DriftMonitor:
        """Starts the drift monitor of the version, with the reference on its card."""
        owner = self._owner
        gauges = {
            kind: (owner.drift.labels(*self.labels, kind), owner.drift_alarm.labels(*self.labels, kind))
            for kind in KINDS
        }

        def show(found: Mapping[str, tuple[float, bool]]) -> None:
            for kind, (index, alarm) in found.items():
                statistic, alarms = gauges[kind]
                statistic.set(index)
                alarms.set(alarm)

        self.drift = DriftMonitor(reference, window_rows, show)
        return self.drift

    def failed(self) -> None:
        """Counts a failed prediction of the version."""
        self._owner.failed.labels(*self.labels).inc()

    def set_canary_out(self, out: bool) -> None:
        """Sets whether the version is disabled as a canary."""
        self._owner.canary_out.labels(*self.labels).set(out)

    def compared(self, *, pictures: int, differing: int) -> None:
        """Counts the pictures of a shadow comparison, and the pictures with different digits."""
        self._owner.compared.labels(*self.labels).inc(pictures)
        self._owner.differing.labels(*self.labels).inc(differing)

    def shadow_dropped(self) -> None:
        """Counts a request that was dropped by the shadow."""
        self._owner.shadow_dropped.labels(*self.labels).inc()

    def flush(self) -> None:
        """Flushes the buffered counts."""
        self.batches.flush()
        if self.drift:
            self.drift.flush()


class ModelMetrics:
    """Metrics with the labels `model` and `version`.

    `version`, `compiled` and `flush` may be called on other threads as well.
    Not thread-safe: one event loop only.
    """

    def __init__(self, registry: CollectorRegistry, *, shared: bool = False) -> None:
        self._shared = shared

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, VERSION, registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: str = "livemax") -> Gauge:
            return Gauge(name, text, (*VERSION, *labels), registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.batch_rows = Histogram(
            "digits_batch_rows",
            "Pictures in a batch, without padding",
            VERSION,
            buckets=BATCH_BUCKETS_ROWS,
            registry=registry,
        )
        self.padding_rows = counter("digits_padding_rows", "Empty rows that filled batches up to a compiled size")
        self.inference = Histogram(
            "digits_inference_seconds",
            "Time to compute a batch",
            VERSION,
            buckets=INFERENCE_BUCKETS_S,
            registry=registry,
        )
        self.wait = Histogram(
            "digits_queue_wait_seconds",
            "Time from a request's arrival at the engine to the start of its first batch",
            VERSION,
            buckets=WAIT_BUCKETS_S,
            registry=registry,
        )
        self._compilations = Counter(
            "digits_compilations_after_ready", "Compilations that requests had to wait for; 0", registry=registry
        )
        self._live = gauge("digits_live_version", "1 for a version that is loaded")
        self._rejected = gauge(
            "digits_version_staying_out",
            "1 for a version that is wanted and could not be loaded; /readyz?verbose says more of the reason",
            "reason",
        )
        self.failed = counter("digits_failed_requests", "Requests that a version failed on")
        self.canary_out = gauge(
            "digits_canary_out", "1 for a challenger that was taken out as a canary; /readyz?verbose says why"
        )
        self.compared = counter("digits_compared_pictures", "Pictures that a challenger answered in the shadow")
        self.differing = counter("digits_differing_pictures", "Those of them that got another digit than before")
        self.shadow_dropped = counter("digits_shadow_dropped_requests", "Requests that there was no time to compare")
        self.drift = gauge(
            "digits_drift_statistic",
            "Population stability index of the last pictures against the card's reference; with workers, the largest",
            "kind",
        )
        self.drift_alarm = gauge(
            "digits_drift_alarm", "1 where that is larger than chance makes it and large enough to matter", "kind"
        )
        self._queue = gauge(
            "digits_queue_rows",
            "Pictures that wait for the engine; of other workers as of the last second",
            mode="livesum",
        )
        self._info = gauge(
            "digits_model_info",
            "1 for a version that is loaded, with what it is: the default one, the challenger or another one",
            "role",
        )
        self._versions: dict[Labels, VersionMetrics] = {}
        self._shown: dict[Gauge, set[Labels]] = {self._live: set(), self._info: set(), self._rejected: set()}

    def version(self, name: str, version: int, padded: Callable[[int], int]) -> VersionMetrics:
        """The metrics of a new version; `padded` rounds a number of rows up to a compiled size. Thread-safe."""
        labels = name, str(version)
        if before := self._versions.get(labels):
            before.flush()
        self._versions[labels] = made = VersionMetrics(self, labels, padded)
        return made

    def set_loaded(self, loaded: Iterable[tuple[str, int, str]]) -> None:
        """Sets the loaded versions: model, version, and role (default, challenger or other).

        Removes the labels of retired versions, which would accumulate in a long-lived process.
        """
        loaded = list(loaded)
        versions: set[Labels] = {(name, str(number)) for name, number, _ in loaded}
        retired = self._shown[self._live] - versions
        for labels in retired:
            self._versions.pop(labels, None)
        by_version: tuple[MetricWrapperBase, ...] = (
            *(self.batch_rows, self.padding_rows, self.inference, self.wait, self.failed),
            *(self.canary_out, self.compared, self.differing, self.shadow_dropped),
        )
        for kind in KINDS:
            for metric in (self.drift, self.drift_alarm):
                self._remove({(*labels, kind) for labels in retired}, metric)
        self._remove(retired, self._queue)
        self._show(self._live, versions, *by_version)
        self._show(self._info, {(name, str(number), role) for name, number, role in loaded})

    def set_rejected(self, rejected: Iterable[tuple[str, int | None, str]]) -> None:
        """Sets the wanted versions that could not be loaded: model, version if known, and type of the error."""
        self._show(self._rejected, {(name, str(number or ""), reason) for name, number, reason in rejected})

    def compiled(self) -> None:
        """Counts a compilation that delays a request; 0 if all row sizes are compiled at loading. Thread-safe."""
        self._compilations.inc()

    def flush(self) -> None:
        """Flushes the buffered counts of all versions. Thread-safe."""
        for version in list(self._versions.values()):
            version.flush()

    def refresh_queues(self) -> None:
        """Sets the gauges of the engines' queues."""
        for labels in self._shown[self._live]:
            version = self._versions.get(labels)
            if version and version.waiting_rows:
                self._queue.labels(*labels).set(version.waiting_rows())

    def _show(self, gauge: Gauge, labels: set[Labels], *others: MetricWrapperBase) -> None:
        """Sets the gauge to 1 for these labels; removes its other labels, also from `others`."""
        self._remove(self._shown[gauge] - labels, gauge, *others)
        for of in labels:
            gauge.labels(*of).set(1)
        self._shown[gauge] = labels

    def _remove(self, removed: set[Labels], gauge: Gauge, *others: MetricWrapperBase) -> None:
        for labels in removed:
            gauge.labels(*labels).set(0)
            if not self._shared:  # a shared count cannot be removed from the files of other workers
                for metric in (gauge, *others):
                    metric.remove(*labels)
