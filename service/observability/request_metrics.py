"""Request metrics: durations by route and status, requests in flight, stage times, errors by code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

from service.observability.buffered_histogram import BufferedHistogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

DURATION_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
STAGES: Final = ("decode", "encode")


class RouteMetrics:
    """Metrics of one method at one route: requests in flight, durations by status.

    Not thread-safe: one event loop only.
    """

    __slots__ = ("_by_status", "_durations", "in_flight", "method", "template")

    def __init__(self, method: str, template: str, durations: Histogram) -> None:
        self.method, self.template, self.in_flight = method, template, 0
        self._durations = durations
        self._by_status: dict[int, BufferedHistogram] = {}

    def done(self, status: int, seconds: float) -> None:
        """Counts a finished request with its duration in seconds."""
        histogram = self._by_status.get(status)
        if histogram is None:
            child = self._durations.labels(self.method, self.template, str(status))
            histogram = self._by_status[status] = BufferedHistogram(child, DURATION_BUCKETS_S)
        histogram.add(seconds)

    def flush(self) -> None:
        """Adds the buffered counts to the histograms of prometheus_client."""
        for histogram in self._by_status.values():
            histogram.flush()


class RequestMetrics:
    """Metrics of all requests, by route.

    Not thread-safe: one event loop only.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "digits_request_duration_seconds",
            "Time from the head of a request to the end of its answer; 499 is a client that hung up",
            ("method", "route", "status"),
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._in_flight = Gauge(
            "digits_requests_in_flight",
            "Requests that are being answered; of other workers as of the last second",
            ("method", "route"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._stages = Counter(
            "digits_stage_seconds",
            "Time that went into reading bodies and writing answers",
            ["stage"],
            registry=registry,
        )
        self._refused = Counter(
            "digits_refused_requests", "Requests that got an error, by its code", ["code"], registry=registry
        )
        self.stage_seconds = dict.fromkeys(STAGES, 0.0)
        """Seconds of each stage since the last `flush`."""
        self._routes: dict[tuple[str, str], RouteMetrics] = {}

    def route(self, method: str, template: str) -> RouteMetrics:
        """The metrics of a method at a route."""
        key = method if method in METHODS else "other", template
        return self._routes.setdefault(key, RouteMetrics(*key, self._durations))

    def refused(self, code: str) -> None:
        """Counts an error response by its error code."""
        self._refused.labels(code).inc()

    def flush(self) -> None:
        """Flushes the buffered counts, and sets the gauges of requests in flight."""
        for stage, seconds in self.stage_seconds.items():
            self._stages.labels(stage).inc(seconds)
            self.stage_seconds[stage] = 0.0
        for route in self._routes.values():
            route.flush()
            self._in_flight.labels(route.method, route.template).set(route.in_flight)
