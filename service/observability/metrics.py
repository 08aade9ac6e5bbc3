"""Prometheus metrics of the application. With several workers, each worker exposes the metrics of all workers."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.observability.loop_lag import LoopLag
from service.observability.model_metrics import ModelMetrics
from service.observability.process_metrics import ProcessMetrics, reserve_files
from service.observability.request_metrics import RequestMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one application: `requests`, `models` and `loop_lag`.

    Several workers share their metrics in `shared_folder`; the environment variable SHARED_FOLDER must have had this
    value when prometheus_client was imported. Raises OSError when the disk has no room for them.
    Not thread-safe: one event loop only.
    """

    def __init__(self, shared_folder: str | None = None) -> None:
        self._shared_folder = shared_folder
        if shared_folder is not None:
            reserve_files(shared_folder)
        self._registry = registry = CollectorRegistry()
        self.requests, self.models = RequestMetrics(registry), ModelMetrics(registry, shared=shared_folder is not None)
        self.loop_lag = LoopLag(registry)
        Gauge(
            "digits_build_info",
            "1, with the versions of the program and of JAX",
            ("version", "jax"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version("digits"), version("jax")).set(1)
        if shared_folder is None:
            ProcessCollector(registry=registry)

    def set_certificate_end(self, seconds: float) -> None:
        """Sets when the TLS certificate ends, in seconds since 1970; to be called once."""
        Gauge(
            "digits_certificate_expiry_timestamp_seconds",
            "When the TLS certificate that is used ends, in seconds since 1970",
            registry=self._registry,
            multiprocess_mode="livemin",
        ).set(seconds)

    def refresh(self) -> None:
        """Flushes the buffered counts, and sets the gauges of requests in flight and of queues."""
        self.requests.flush()
        self.models.flush()
        self.models.refresh_queues()
        self.loop_lag.flush()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.models.flush()
        registry = self._registry
        if self._shared_folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no types for it
            registry.register(ProcessMetrics(self._shared_folder))
        return generate_latest(registry)
