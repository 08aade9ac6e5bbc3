"""The OpenAPI document at /openapi.json and /docs agrees with the routes."""

import json

import jsonschema_rs
import pytest

from service.protocols.native.examples import FOUR, SEVEN, drawn
from tests.support.application import JSON, app_with, client_of
from tests.support.fake_predictor import FakePredictor

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def openapi():
    return app_with(FakePredictor()).openapi()


def validator(openapi, schema):
    return jsonschema_rs.Draft202012Validator({**schema, "components": openapi["components"]})


def test_the_documentation_names_every_path(openapi):
    assert {path: [*methods] for path, methods in openapi["paths"].items()} == {
        "/predict": ["post"],
        "/feedback": ["post", "get"],
        "/feedback/{id}": ["delete"],
        "/models": ["get"],
        "/models/{name}/versions/{version}": ["get"],
        "/v1/models/{model}:predict": ["post"],
        "/v1/models/{model}/versions/{version}:predict": ["post"],
        "/v1/models/{model}/labels/{label}:predict": ["post"],
        "/v1/models": ["get"],
        "/v1/models/{model}": ["get"],
        "/v1/models/{model}/metadata": ["get"],
        "/v1/models/{model}/versions/{version}": ["get"],
        "/v1/models/{model}/versions/{version}/metadata": ["get"],
        "/v1/models/{model}/labels/{label}": ["get"],
        "/v1/models/{model}/labels/{label}/metadata": ["get"],
        "/v2": ["get"],
        "/v2/health/live": ["get"],
        "/v2/health/ready": ["get"],
        "/v2/models/{model}": ["get"],
        "/v2/models/{model}/ready": ["get"],
        "/v2/models/{model}/infer": ["post"],
        "/v2/models/{model}/versions/{version}": ["get"],
        "/v2/models/{model}/versions/{version}/ready": ["get"],
        "/v2/models/{model}/versions/{version}/infer": ["post"],
        "/v2/repository/index": ["post"],
        "/v2/repository/models/{model}/load": ["post"],
        "/v2/repository/models/{model}/unload": ["post"],
        "/manage/reload": ["post"],
        "/healthz": ["get"],
        "/readyz": ["get"],
        "/metrics": ["get"],
    }
    assert [p["name"] for p in openapi["paths"]["/predict"]["post"]["parameters"]] == [
        *("model", "version", "fields", "coverage", "scale", "ink", "read", "X-Timeout-Ms")
    ]


def test_the_documentation_tells_of_errors_that_come_from_any_path(openapi):
    description = openapi["info"]["description"]
    assert "400 `invalid_http`" in description
    assert "65536 bytes gets 431 `head_too_large`" in description


def test_the_documentation_has_no_error_that_is_never_sent(openapi):
    assert "HTTPValidationError" not in json.dumps(openapi)
    statuses = {path: [*next(iter(m.values()))["responses"]] for path, m in openapi["paths"].items()}
    assert statuses == {
        "/predict": ["200", "400", "404", "406", "413", "415", "422", "500", "503", "504"],
        "/feedback": ["201", "200", "400", "404", "409", "413", "415", "422", "429", "503"],
        "/feedback/{id}": ["200", "404", "422", "429", "503"],
        "/models": ["200", "503"],
        "/models/{name}/versions/{version}": ["200", "404", "503"],
        **{
            f"/v1/models/{{model}}{of}:predict": ["200", "400", "404", "413", "415", "500", "503", "504"]
            for of in ("", "/versions/{version}", "/labels/{label}")
        },
        "/v1/models": ["200", "503"],
        "/v1/models/{model}": ["200", "404", "503"],
        "/v1/models/{model}/metadata": ["200", "404", "503"],
        **{
            f"/v1/models/{{model}}{of}{end}": ["200", "400", "404", "503"]
            for of in ("/versions/{version}", "/labels/{label}")
            for end in ("", "/metadata")
        },
        "/v2": ["200"],
        "/v2/health/live": ["200", "503"],
        "/v2/health/ready": ["200", "503"],
        **{f"/v2/models/{{model}}{of}": ["200", "404", "503"] for of in ("", "/versions/{version}")},
        **{f"/v2/models/{{model}}{of}/ready": ["200", "404", "503"] for of in ("", "/versions/{version}")},
        **{
            f"/v2/models/{{model}}{of}/infer": ["200", "400", "404", "413", "415", "500", "503", "504"]
            for of in ("", "/versions/{version}")
        },
        "/v2/repository/index": ["200", "400", "413", "415", "503"],
        "/v2/repository/models/{model}/load": ["200", "400", "401", "403", "404", "409", "413", "415", "503"],
        "/v2/repository/models/{model}/unload": ["409", "401", "403", "404", "503"],
        "/manage/reload": ["200", "401", "403", "409", "503"],
        "/healthz": ["200", "503"],
        "/readyz": ["200", "503"],
        "/metrics": ["200"],
    }


async def test_the_examples_of_the_documentation_work_when_pasted(openapi):
    post = openapi["paths"]["/predict"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    question = validator(openapi, content["schema"])
    answer = validator(openapi, post["responses"]["200"]["content"]["application/json"]["schema"])
    assert [*content["examples"]] == ["one picture", "one picture, 28 x 28, from 0 to 1", "a list of pictures"]
    async with client_of(app_with(FakePredictor())) as client:
        for example in content["examples"].values():
            assert question.is_valid(example["value"])
            response = await client.post("/predict", content=json.dumps(example["value"]), headers=JSON)
            assert response.status_code == 200
            assert answer.is_valid(response.json())


def test_the_documented_schemas_refuse_what_is_refused(openapi):
    schema = openapi["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    question = validator(openapi, schema)
    pixels = [0] * 784
    for wrong in (
        {},
        {"pixels": pixels[1:]},
        {"pixels": pixels, "instances": [pixels]},
        {"pixels": pixels, "invert": True},
        {"pixels": pixels, "scale": 0},
        {"pixels": ["0"] * 784},
        {"pixels": [-1] * 784},
        {"instances": []},
        {"instances": [[[0] * 28] * 27]},
    ):
        assert not question.is_valid(wrong)


async def test_errors_are_of_the_documented_schema(openapi):
    responses = openapi["paths"]["/predict"]["post"]["responses"]
    async with client_of(app_with(FakePredictor())) as client:
        for body, status in ((b"{", "400"), (b"{}", "422")):
            response = await client.post("/predict", content=body, headers=JSON)
            schema = responses[status]["content"]["application/json"]["schema"]
            assert response.status_code == int(status)
            assert validator(openapi, schema).is_valid(response.json())


async def test_the_documentation_needs_no_other_host():
    async with client_of(app_with(FakePredictor())) as client:
        page = await client.get("/docs")
        script = await client.get("/static-offline-docs/swagger-ui-bundle.js")
    assert page.status_code == script.status_code == 200
    assert "https://" not in page.text


def test_the_example_pictures_are_drawn_with_soft_edges_on_an_empty_ground():
    for strokes in (SEVEN, FOUR):
        image = drawn(strokes)
        assert image.shape == (28, 28)
        assert image.max() == 255
        assert len(set(image.ravel().tolist())) > 5
        assert image[:4].max() == image[-3:].max() == image[:, :4].max() == image[:, -4:].max() == 0
