"""Everything on `/metrics`, for Prometheus. With several workers, each of them answers for all of them."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.observability.model_metrics import ModelMetrics
from service.observability.process_metrics import SHARED_FOLDER, ProcessMetrics
from service.observability.request_metrics import RequestMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one application: those of `requests` and those of `models`."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests, self.models = RequestMetrics(registry), ModelMetrics(registry)
        Gauge(
            "digits_build_info",
            "1, with the versions of the program and of JAX",
            ("version", "jax"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version("digits"), version("jax")).set(1)
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def refresh(self) -> None:
        """Adds what has been counted since the last time, and sets the gauges of requests in flight and of queues."""
        self.requests.flush()
        self.models.flush()
        self.models.refresh_queues()

    def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        self.models.flush()
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no types for it
            registry.register(ProcessMetrics(os.environ[SHARED_FOLDER]))
        return generate_latest(registry)
