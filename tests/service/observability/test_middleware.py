"""ObservabilityMiddleware: request counts and times by route template, request ids, security headers and CORS."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.observability.buffered_histogram import BufferedHistogram
from service.observability.metrics import Metrics
from service.observability.middleware import CACHED_PATH_LENGTH, CACHED_PATHS_LIMIT
from service.observability.request_context import RequestContext
from service.observability.request_metrics import DURATION_BUCKETS_S, RouteMetrics
from tests.support.application import JSON, app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture

pytestmark = pytest.mark.anyio
PIXELS = json.dumps({"pixels": picture(7).ravel().tolist()})


async def counted(client, name="digits_request_duration_seconds_count"):
    """The values of a metric, by method, route and status."""
    text = (await client.get("/metrics")).text
    return {
        tuple(sample.labels.get(label) for label in ("method", "route", "status")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_requests_are_counted_by_the_template_of_their_route_and_status():
    async with client_of(app_with(FakePredictor())) as client:
        for _ in range(3):
            await client.post("/predict", content=PIXELS, headers=JSON)
        await client.post("/predict", content="{", headers=JSON)
        await client.get("/models/lenet/versions/3")
        await client.get("/models/mlp/versions/1")
        await client.get("/healthz")
        await client.get("/docs")
        await client.delete("/predict")
        found = await counted(client)
    assert found == {
        ("POST", "/predict", "200"): 3,
        ("POST", "/predict", "400"): 1,
        ("GET", "/models/{name}/versions/{version}", "200"): 1,
        ("GET", "/models/{name}/versions/{version}", "404"): 1,
        ("GET", "/healthz", "200"): 1,
        ("GET", "/docs", "200"): 1,
        ("DELETE", "/predict", "405"): 1,
    }


async def test_whatever_clients_ask_for_adds_no_labels_without_end():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        for number in range(30):
            await client.get(f"/nothing/{number}")
            await client.request(f"METHOD{number}", "/healthz")
            await client.get(f"/models/{number}/versions/1")
        found = await counted(client)
    assert found == {
        ("GET", "other", "404"): 30,
        ("other", "/healthz", "405"): 30,
        ("GET", "/models/{name}/versions/{version}", "404"): 30,
    }


async def test_paths_that_are_remembered_are_few_and_short():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        for number in range(CACHED_PATHS_LIMIT + 10):
            app.middleware_stack._find("GET", f"/models/{number}/versions/1")
        await client.get("/models/" + "x" * CACHED_PATH_LENGTH + "/versions/1")
        remembered = app.middleware_stack._routes_by_path
        assert len(remembered) <= CACHED_PATHS_LIMIT
        assert max(len(path) for _, path in remembered) <= CACHED_PATH_LENGTH


async def test_what_is_in_flight_is_counted_until_it_is_answered():
    async with client_of(app_with(FakePredictor())) as client:
        await client.get("/healthz")
        found = await counted(client, "digits_requests_in_flight")
    assert found[("GET", "/metrics", None)] == 1
    assert found[("GET", "/healthz", None)] == 0


async def test_a_request_that_fails_unexpectedly_is_counted_as_500_and_tells_nothing_of_the_program(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("secret of the program")

    monkeypatch.setattr("service.routes.predict.parse_query", broken)
    monkeypatch.setattr("service.routes.models.loaded_versions", broken)
    async with client_of(app_with(FakePredictor(), log_level="debug")) as client:
        answers = [await client.post("/predict", content=PIXELS, headers=JSON), await client.get("/models")]
        found = await counted(client)
    for answer in answers:
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["x-request-id"]
    assert found[("POST", "/predict", "500")] == found[("GET", "/models", "500")] == 1


@pytest.mark.parametrize("path", ["/predict", "/models", "/nothing", "/docs"])
async def test_every_answer_names_its_request(path):
    async with client_of(app_with(FakePredictor())) as client:
        ids = [(await client.get(path)).headers["x-request-id"] for _ in range(2)]
        assert ids[0] != ids[1]
        assert all(re.fullmatch(r"[0-9a-f]{20}", made) for made in ids)
        own = await client.get(path, headers={"X-Request-Id": "shop-7/a:1"})
        assert own.headers.get_list("x-request-id") == ["shop-7/a:1"]
        for odd in ("", "a b", "x" * 129, "a\tb", '"quoted"', "ü"):
            answer = await client.get(path, headers={"X-Request-Id": odd.encode()})
            assert re.fullmatch(r"[0-9a-f]{20}", answer.headers["x-request-id"]), odd


async def test_browsers_are_told_to_take_no_answer_for_a_page():
    async with client_of(app_with(FakePredictor())) as client:
        predicted = await client.post("/predict", content=PIXELS, headers=JSON)
        assert predicted.status_code == 200
        assert predicted.headers["x-content-type-options"] == "nosniff"
        for path in ("/models", "/nothing", "/metrics", "/openapi.json"):
            answer = await client.get(path)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["referrer-policy"] == "no-referrer"


async def test_the_documentation_may_load_its_own_scripts_and_nobody_elses():
    async with client_of(app_with(FakePredictor())) as client:
        docs = await client.get("/docs")
        policy = docs.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "<script>" not in docs.text + (await client.get("/redoc")).text
        for address in re.findall(r'(?:src|href)="([^"]+)"', docs.text):
            assert address.startswith(("static-offline-docs/", "page/docs.", "data:")), address


async def test_a_policy_that_a_route_brings_is_kept():
    app = app_with(FakePredictor())

    async def page(scope, receive, send):
        headers = [(b"content-security-policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    app.middleware_stack._app = page
    async with client_of(app) as client:
        answer = await client.get("/page")
        assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
        assert answer.headers["x-content-type-options"] == "nosniff"


PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}


async def test_pages_of_other_origins_may_not_use_the_service():
    async with client_of(app_with(FakePredictor())) as client:
        asked = await client.options("/predict", headers=PREFLIGHT)
        posted = await client.post("/predict", content=PIXELS, headers=JSON | {"Origin": "https://a.example"})
    assert asked.status_code == 405
    assert not [name for name in (*asked.headers, *posted.headers) if name.startswith("access-control")]


async def test_origins_that_are_named_may_use_predict_and_the_other_routes():
    async with client_of(app_with(FakePredictor(), cors_origins="https://a.example,http://b.example:8080")) as client:
        for path in ("/predict", "/feedback", "/models"):
            asked = await client.options(path, headers=PREFLIGHT)
            assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://a.example")
            other = await client.options(path, headers=PREFLIGHT | {"Origin": "https://c.example"})
            assert other.status_code == 400
            assert "access-control-allow-origin" not in other.headers
        posted = await client.post("/predict", content=PIXELS, headers=JSON | {"Origin": "https://a.example"})
        assert posted.json()["digit"] == 7
        assert posted.headers["access-control-allow-origin"] == "https://a.example"
        assert "X-Prediction-Id" in posted.headers["access-control-expose-headers"]
        refused = await client.post("/predict", content="{", headers=JSON | {"Origin": "https://a.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, "https://a.example")


def test_times_are_counted_in_the_buckets_that_prometheus_would_put_them_in():
    metrics = Metrics()
    times = [0.0, 0.0005, 0.00051, 0.001, 0.0015, 0.002, 0.3]
    direct, tallied = (metrics.requests._durations.labels("GET", route, "200") for route in ("/a", "/b"))
    tally = BufferedHistogram(tallied, DURATION_BUCKETS_S)
    for seconds in times:
        direct.observe(seconds)
        tally.add(seconds)
    assert not any(s.value for s in tallied._child_samples() if s.name != "_created"), "nothing is shown yet"
    tally.flush()
    tally.flush()
    found = [
        [(s.name, s.labels, s.value) for s in child._child_samples() if s.name != "_created"]
        for child in (direct, tallied)
    ]
    assert found[0] == found[1]


def test_a_route_is_watched_by_one_watch():
    metrics = Metrics()
    assert isinstance(metrics.requests.route("GET", "/a"), RouteMetrics)
    assert metrics.requests.route("GET", "/a") is metrics.requests.route("GET", "/a")


GOOD = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("given", "trace_id"),
    [
        (GOOD, "4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"cc" + GOOD[2:] + b"-more", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"ff" + GOOD[2:], None),
        (GOOD[:-1], None),
        (GOOD + b"-more", None),
        (GOOD.upper(), None),
        (b"00-" + b"0" * 32 + GOOD[35:], None),
        (GOOD[:36] + b"0" * 16 + b"-01", None),
        (b"\n" + GOOD, None),
    ],
)
def test_a_trace_is_taken_from_a_valid_traceparent_only(given, trace_id):
    assert RequestContext({b"traceparent": given}, {}).trace_id == trace_id
