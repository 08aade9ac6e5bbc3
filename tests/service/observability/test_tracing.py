"""OpenTelemetry tracing: spans of a request and its stages, and the environment variables that turn it on."""

import asyncio
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.app import create_app
from service.observability.metrics import Metrics
from service.observability.tracing import Tracing, TracingUnavailable, tracing_from_environment, wanted
from service.settings import ServiceSettings
from service.state import make_state
from tests.support.application import client_of, registry_with
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.interpreter import loaded_after

pytestmark = pytest.mark.anyio
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OCTETS = {"Content-Type": "application/octet-stream"}
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def app(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    predictor = FakePredictor()
    predictor.poison = 9
    metrics = Metrics()
    registry = registry_with(predictor, metrics=metrics, queue_limit_rows=64)
    settings = ServiceSettings(feedback_url="")
    return create_app(make_state(settings, registry=registry, metrics=metrics, tracing=Tracing(provider)))


async def test_a_request_is_a_span_of_its_client_s_trace_with_its_stages_in_order(app, exporter):
    async with client_of(app) as client:
        headers = OCTETS | {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
        await client.post("/predict", content=picture(7).tobytes(), headers=headers)
        spans = exporter.get_finished_spans()
    (server,) = [span for span in spans if span.kind is SpanKind.SERVER]
    assert server.name == "POST /predict"
    assert format(server.context.trace_id, "032x") == TRACE
    assert format(server.parent.span_id, "016x") == PARENT
    assert dict(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "digits.request_id": "mine",
        "digits.model": "lenet",
        "digits.version": 3,
    }
    stages = [span for span in spans if span is not server]
    assert [span.name for span in stages] == ["decode", "queue", "compute", "encode"]
    times = [time for span in stages for time in (span.start_time, span.end_time)]
    assert times == sorted(times)
    assert server.start_time - 5_000_000 <= times[0], "clocks are read at different moments"
    assert times[-1] <= server.end_time + 5_000_000
    assert {span.parent.span_id for span in stages} == {server.context.span_id}


async def test_a_request_of_several_batches_has_a_span_for_each(app, exporter):
    async with client_of(app) as client:
        await client.post("/predict", content=picture(7).tobytes() * 40, headers=OCTETS)
        names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["decode", "queue", "compute", "compute", "compute", "encode", "POST /predict"]


async def test_failures_are_marked_and_bad_requests_are_none(app, exporter):
    async with client_of(app) as client:
        await client.post("/predict", content=picture(9).tobytes(), headers=OCTETS)
        await client.post("/predict", content=b"{", headers=OCTETS)
        await client.get("/nothing/here")
        servers = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [span.name for span in servers] == ["POST /predict", "POST /predict", "GET other"]
    assert [span.status.status_code for span in servers] == [StatusCode.ERROR, StatusCode.UNSET, StatusCode.UNSET]
    assert len({span.context.trace_id for span in servers}) == 3


async def test_a_client_that_does_not_sample_its_trace_is_obeyed(app, exporter):
    async with client_of(app) as client:
        headers = OCTETS | {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        answer = await client.post("/predict", content=picture(7).tobytes(), headers=headers)
    assert answer.status_code == 200
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_environment_says_whether_there_are_traces(environment, expected):
    assert wanted(environment) is expected


def test_what_cannot_be_is_said_before_anything_starts(monkeypatch):
    with pytest.raises(TracingUnavailable, match=r"^OTEL_TRACES_EXPORTER is 'zipkin', want otlp or none$"):
        wanted({"OTEL_TRACES_EXPORTER": "zipkin"})
    for name, value in (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TracingUnavailable, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', want http/protobuf$"):
        tracing_from_environment()


def test_without_traces_opentelemetry_s_sdk_is_not_imported():
    code = "import service.app; service.app.create_app()"
    assert not {name for name in loaded_after(code) if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))}


@pytest.mark.anyio
async def test_an_environment_that_asks_for_traces_gets_them(monkeypatch):
    for name, value in ENDPOINT.items():
        monkeypatch.setenv(name, value)
    tracing = tracing_from_environment()
    assert tracing._provider.resource.attributes["service.name"] == "digits"
    await tracing.close()


@pytest.mark.anyio
async def test_a_collector_that_does_not_answer_delays_the_end_only_so_long(monkeypatch):
    monkeypatch.setattr("service.observability.tracing.CLOSE_TIMEOUT_S", 0.1)
    for name, value in ENDPOINT.items():
        monkeypatch.setenv(name, value)
    tracing = tracing_from_environment()
    closing, go_on = threading.Event(), threading.Event()
    shutdown = tracing._provider.shutdown

    def hang():
        closing.set()
        assert go_on.wait(60)
        shutdown()

    monkeypatch.setattr(tracing._provider, "shutdown", hang)
    async with asyncio.timeout(10):
        await tracing.close()
    assert closing.is_set()
    go_on.set()
