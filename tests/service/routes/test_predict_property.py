"""Schemathesis and Hypothesis against `/predict`: any input gets a documented answer, never a 5xx or a hang."""

import asyncio
import json

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.application import app_with, client_of
from tests.support.examples import examples
from tests.support.fake_predictor import FakePredictor

LIMITS = {"body_limit_bytes": 100_000, "request_limit_rows": 8, "queue_limit_rows": 64}


@pytest.fixture(scope="module")
def post():
    """Sends a body to /predict and validates what comes back against what is documented for its status."""
    app = app_with(FakePredictor(), **LIMITS)
    document = app.openapi()
    validators = {
        int(status): jsonschema_rs.Draft202012Validator(
            {**response["content"]["application/json"]["schema"], "components": document["components"]}
        )
        for status, response in document["paths"]["/predict"]["post"]["responses"].items()
    }
    runner = asyncio.Runner()
    context = client_of(app)
    client = runner.run(context.__aenter__())

    def send(body, headers, query=""):
        request = client.post("/predict" + query, content=body, headers=headers)
        response = runner.run(asyncio.wait_for(request, 10))
        assert response.status_code < 500
        assert response.headers["content-type"] == "application/json"
        validators[response.status_code].validate(response.json())
        return response

    yield send
    runner.run(context.__aexit__(None, None, None))
    runner.close()


numbers = st.integers(-1, 256) | st.floats() | st.integers()
atoms = st.none() | st.booleans() | numbers | st.text(max_size=4)
values = st.recursive(
    atoms,
    lambda kids: st.lists(kids, max_size=4) | st.dictionaries(st.text(max_size=3), kids, max_size=3),
    max_leaves=8,
)


@st.composite
def pictures(draw):
    """Nearly a picture: of either form, one value or one length of it perhaps not as it should be."""
    ink = draw(st.sampled_from([0, 1, 255, 0.5]))
    if draw(st.booleans()):
        picture = [ink] * draw(st.sampled_from([784, 784, 784, 783, 0]))
        place = picture
    else:
        picture = [[ink] * 28 for _ in range(draw(st.sampled_from([28, 28, 28, 27])))]
        place = draw(st.sampled_from([picture, picture[draw(st.integers(0, 26))]]))
    if place and draw(st.booleans()):
        place[draw(st.integers(0, len(place) - 1))] = draw(values)
    return picture


@st.composite
def questions(draw):
    """Nearly a question."""
    question = {}
    if draw(st.integers(0, 3)):
        question["pixels"] = draw(pictures() | values)
    if not question or not draw(st.integers(0, 5)):
        question["instances"] = draw(st.lists(pictures(), max_size=9) | values)
    if draw(st.booleans()):
        question["scale"] = draw(st.sampled_from([1, 255]) | values)
    if not draw(st.integers(0, 5)):
        question[draw(st.text(max_size=5))] = draw(values)
    return question


@st.composite
def bodies(draw):
    """A question in JSON, whole, cut short or damaged; or anything at all."""
    if not draw(st.integers(0, 4)):
        return draw(st.binary(max_size=60) | values.map(json.dumps).map(str.encode))
    body = json.dumps(draw(questions()), ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if not draw(st.integers(0, 4)):
        cut = draw(st.integers(0, len(body)))
        body = body[:cut] + draw(st.binary(max_size=3)) + body[cut + draw(st.integers(0, 3)) :]
    return body


QUICK = settings(
    deadline=None, max_examples=examples(250), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@QUICK
@given(bodies())
def test_any_body_gets_an_answer_or_an_error_of_the_documented_shape(post, body):
    post(body, {"Content-Type": "application/json"})


@settings(QUICK, max_examples=examples(100))
@given(
    bodies(),
    st.sampled_from(
        [
            *("application/json", "application/json; charset=utf-8", "text/plain", "image/png", "image/tiff", ""),
            *("multipart/form-data", "multipart/form-data; boundary=b"),
        ]
    )
    | st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20).map(
        lambda s: s.encode("latin-1")
    ),
    st.sampled_from(
        [
            "",
            "?version=champion",
            "?fields=digit",
            "?fields=confidence,probabilities",
            "?fields=,",
            "?model=",
            "?%ff",
            "?version=%00",
            "?a=b&a=c",
            "?;",
            "?version=9" + "9" * 5000,
        ]
    ),
)
def test_any_media_type_and_query_get_an_answer_or_an_error_of_the_documented_shape(post, body, media_type, query):
    post(body, {"Content-Type": media_type}, query)


@pytest.fixture(scope="module")
def question():
    """The documented schema of a question."""
    document = app_with(FakePredictor()).openapi()
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


@settings(QUICK, max_examples=examples(100))
@given(pictures())
def test_a_picture_is_answered_exactly_when_the_documented_schema_takes_it(post, question, picture):
    """The scale is out of the way: a schema can't say that no pixel is above another field."""
    text = json.dumps({"pixels": picture, "scale": 1e300})
    try:
        valid = question.is_valid(json.loads(text, parse_constant=str))
    except ValueError:  # an integer beyond what it can read
        return
    assert (post(text, {"Content-Type": "application/json"}).status_code == 200) == valid


@pytest.fixture
def documented_api():
    app = app_with(FakePredictor(), **LIMITS)
    api = schemathesis.openapi.from_dict(app.openapi())
    api.app = app
    return api


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/predict", "POST"),
        ("/models", "GET"),
        ("/models/{name}/versions/{version}", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/v1/models", "GET"),
        ("/v1/models/{model}:predict", "POST"),
        ("/v1/models/{model}/versions/{version}:predict", "POST"),
        ("/v1/models/{model}/labels/{label}", "GET"),
        ("/v1/models/{model}/metadata", "GET"),
        ("/v2", "GET"),
        ("/v2/health/ready", "GET"),
        ("/v2/models/{model}", "GET"),
        ("/v2/models/{model}/versions/{version}/ready", "GET"),
        ("/v2/models/{model}/infer", "POST"),
        ("/v2/repository/index", "POST"),
        ("/v2/repository/models/{model}/load", "POST"),
        ("/v2/repository/models/{model}/unload", "POST"),
    ],
)
def test_schemathesis_finds_nothing_that_differs_from_the_documentation(documented_api, path, method):
    operation = documented_api[path][method]
    # A schema can't say that no pixel is above the scale: pictures that it takes may still be out of range.
    infers = path.endswith(("predict", "/infer"))
    unsaid = [positive_data_acceptance] if infers else []

    @settings(QUICK, max_examples=examples(25))
    @given(operation.as_strategy())
    def validate(case):
        if infers and case.path_parameters:  # nobody would guess them, and then no body would be looked at
            case.path_parameters.update({"model": "lenet"} | ({"version": "3"} if "{version}" in path else {}))
        case.headers.pop("X-Timeout-Ms", None)  # 504 is the right answer to 5e-324 ms, and a 5xx all the same
        case.call_and_validate(excluded_checks=unsaid)

    validate()
