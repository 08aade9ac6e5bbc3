"""Hypothesis against `/v1` and `/v2`: any input gets a documented answer, never a 5xx or a hang."""

import asyncio
import json

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.application import app_with, client_of
from tests.support.examples import examples
from tests.support.fake_predictor import FakePredictor

LIMITS = {"body_limit_bytes": 100_000, "request_limit_rows": 8, "queue_limit_rows": 64}
LENGTH = "Inference-Header-Content-Length"
PREDICT, INFER = "/v1/models/{model}:predict", "/v2/models/{model}/infer"


@pytest.fixture(scope="module")
def post():
    """Sends a body and validates what comes back against what is documented for its path and status."""
    app = app_with(FakePredictor(), **LIMITS)
    document = app.openapi()
    validators = {
        (path, int(status)): jsonschema_rs.Draft202012Validator(
            {**response["content"]["application/json"]["schema"], "components": document["components"]}
        )
        for path in (PREDICT, INFER)
        for status, response in document["paths"][path]["post"]["responses"].items()
    }
    runner = asyncio.Runner()
    context = client_of(app)
    client = runner.run(context.__aenter__())

    def send(path, body, headers):
        request = client.post(path.replace("{model}", "lenet"), content=body, headers=headers)
        response = runner.run(asyncio.wait_for(request, 10))
        assert response.status_code < 500
        length = response.headers.get(LENGTH)
        content = response.content[: int(length)] if length else response.content
        validators[path, response.status_code].validate(json.loads(content))
        return response.status_code

    yield send
    runner.run(context.__aexit__(None, None, None))
    runner.close()


atoms = st.none() | st.booleans() | st.integers(-1, 256) | st.floats() | st.integers() | st.text(max_size=4)
values = st.recursive(
    atoms,
    lambda kids: st.lists(kids, max_size=4) | st.dictionaries(st.text(max_size=3), kids, max_size=3),
    max_leaves=6,
)


def sometimes(usual, strange=values):
    """Nearly always the one."""
    return st.integers(0, 9).flatmap(lambda n: strange if n == 0 else usual)


rows = st.sampled_from([[0] * 784, [[255] * 28] * 28, [[[1]] * 28] * 28, [0.5] * 784, [0] * 783, {"b64": "AAAA"}])
rows_requests = st.fixed_dictionaries(
    {},
    optional={
        "instances": sometimes(st.lists(sometimes(rows), max_size=9)),
        "inputs": sometimes(st.lists(sometimes(rows), max_size=9) | st.fixed_dictionaries({"pixels": st.lists(rows)})),
        "signature_name": sometimes(st.sampled_from(["serving_default", "unit_scale"])),
    },
)
data = st.sampled_from([[0] * 784, [[0] * 784], [[[1.0] * 28] * 28], [[[[7]] * 28] * 28], [0.5] * 1568, []])
parameters = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": sometimes(st.sampled_from([784, 3136, 0, -1])),
        "scale": sometimes(st.sampled_from([1, 255])),
        "binary_data_output": sometimes(st.booleans()),
        "binary_data": sometimes(st.booleans()),
        "classification": sometimes(st.integers(-1, 12)),
    },
)
tensors = st.fixed_dictionaries(
    {
        "name": sometimes(st.just("pixels")),
        "shape": sometimes(st.sampled_from([[1, 784], [1, 28, 28], [1, 28, 28, 1], [2, 784], [9, 784], [784]])),
        "datatype": sometimes(st.sampled_from(["UINT8", "FP32", "INT8", "FP16", "FP64", "BOOL"])),
    },
    optional={"data": sometimes(data), "parameters": sometimes(parameters)},
)
outputs = st.fixed_dictionaries(
    {"name": sometimes(st.sampled_from(["probabilities", "digit", "confidence"]))}, optional={"parameters": parameters}
)
inference_requests = st.fixed_dictionaries(
    {"inputs": sometimes(st.lists(tensors, min_size=1, max_size=1))},
    optional={
        "id": sometimes(st.text()),
        "parameters": sometimes(parameters),
        "outputs": sometimes(st.lists(sometimes(outputs), max_size=3)),
    },
)
QUICK = settings(
    deadline=None, max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def encoded(request):
    return json.dumps(request).encode("utf-8", "surrogatepass")


@QUICK
@given(rows_requests.map(encoded) | st.binary(max_size=60))
def test_any_body_gets_a_documented_answer_from_v1(post, body):
    post(PREDICT, body, {})


@QUICK
@given(
    inference_requests.map(encoded) | st.binary(max_size=60),
    st.sampled_from([0, 783, 784, 3136]),
    sometimes(st.none(), st.sampled_from(["0", "1", "784", "-1", "x", "9" * 30, "1_0", "\u00b2".encode("latin-1")])),
)
def test_any_body_gets_a_documented_answer_from_v2(post, body, more, length):
    if length is None and more:
        length = str(len(body))
    post(INFER, body + bytes(more), {} if length is None else {LENGTH: length})
