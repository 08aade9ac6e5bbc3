"""OpenTelemetry tracing: a span for each request, with child spans for decode, queue, compute and encode.

The child spans are made at the end of a request, from the stage times in its context. OpenTelemetry is imported only if
OpenTelemetry's own environment variables turn tracing on.
"""

from __future__ import annotations

import asyncio
import os
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from service.concurrency import ThreadPool
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from starlette.types import Scope

    from service.observability.request_context import RequestContext

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP: Final = "http/protobuf"
CLOSE_TIMEOUT_S: Final = 3.0


class TracingUnavailable(DigitsError):
    """The environment variables for tracing are not supported, or OpenTelemetry is not installed."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether tracing is on: by an OTLP endpoint, or by OTEL_TRACES_EXPORTER=otlp. Raises TracingUnavailable."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if exporter in ("", "otlp"):
        return exporter == "otlp" or any(environment.get(name) for name in ENDPOINTS)
    if exporter == "none":
        return False
    raise TracingUnavailable(f"OTEL_TRACES_EXPORTER is {exporter!r}, want otlp or none")


def tracing_from_environment() -> Tracing | None:
    """Tracing as the environment variables define it; None if off. Raises TracingUnavailable."""
    if not wanted(os.environ):
        return None
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), HTTP)
    if protocol != HTTP:
        raise TracingUnavailable(f"{PROTOCOLS[1]} is {protocol!r}, want {HTTP}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailable(
            f"the environment asks for traces (OTEL_…), and {error.name} is missing; want pip install -e .[tracing]"
        ) from None
    service = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "digits"}
    provider = TracerProvider(resource=Resource.create({"service.version": version("digits"), **service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


class Tracing:
    """Makes spans, and exports them through a provider. Thread-safe."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._trace = provider, trace
        self._tracer = provider.get_tracer("digits", version("digits"))
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, context: RequestContext, scope: Scope, route: str) -> None:
        """Starts the span of a request, as a child of the client's span if `traceparent` is valid."""
        carrier = {
            name: value.decode("latin-1")
            for name, value in (("traceparent", context.traceparent), ("tracestate", context.tracestate))
            if value
        }
        context.stages = []
        context.span = self._tracer.start_span(
            f"{scope['method']} {route}",
            context=self._propagator.extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes={
                "http.request.method": scope["method"],
                "http.route": route,
                "url.scheme": scope.get("scheme", "http"),
                "digits.request_id": context.id.decode(),
            },
        )

    def end(self, context: RequestContext, status: int) -> None:
        """Ends the span of a request and makes the spans of its stages."""
        span: Any = context.span
        since_epoch_s = time.time() - time.perf_counter()
        if span.is_recording():
            span.set_attribute("http.response.status_code", status)
            if context.model is not None and context.version is not None:
                span.set_attributes({"digits.model": context.model, "digits.version": context.version})
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(self._trace.StatusCode.ERROR)
            inside = self._trace.set_span_in_context(span)
            for name, began_s, ended_s in context.stages or ():
                child = self._tracer.start_span(name, inside, start_time=_nanoseconds(began_s + since_epoch_s))
                child.end(_nanoseconds(ended_s + since_epoch_s))
        span.end()

    async def close(self) -> None:
        """Exports the buffered spans and ends the exporter, for 3 s at most: a collector may not answer."""
        closing = asyncio.wrap_future(ThreadPool(1, 1, "tracing").submit(self._provider.shutdown))
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_S)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
