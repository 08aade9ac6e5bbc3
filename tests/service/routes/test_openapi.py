"""The OpenAPI document at /openapi.json and /docs agrees with the routes."""

import json
import re
from itertools import combinations

import jsonschema_rs
import pytest
from pydantic import BaseModel

from service.http.openapi import add_schemas
from service.protocols.native.examples import FOUR, SEVEN, drawn
from tests.support.application import JSON, app_with, client_of
from tests.support.fake_predictor import FakePredictor
from tests.support.pictures import encoded, written

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


def test_the_documentation_begins_with_a_quick_start(openapi):
    description = openapi["info"]["description"]
    assert description.startswith("**Quick start.** Send a picture")
    assert description.index("curl $URL/predict -F file=@seven.png") < description.index("HTTP/1.1")


async def test_examples_of_other_bodies_and_of_answers_are_of_their_schemas(openapi):
    """Without an example, Swagger UI makes one with a line for each pixel."""
    examples = 0
    async with client_of(app_with(FakePredictor())) as client:
        for path, methods in openapi["paths"].items():
            for operation in methods.values():
                for body in (operation.get("requestBody", {}), operation["responses"].get("200", {})):
                    content = body.get("content", {}).get("application/json", {})
                    for example in content.get("examples", {}).values():
                        examples += 1
                        validator(openapi, content["schema"]).validate(example["value"])
                        if path.startswith("/v") and body is operation.get("requestBody"):
                            url = path.format(model="lenet", version=3, label="champion")
                            assert (await client.post(url, json=example["value"])).status_code == 200
    assert examples > 12


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


def schemas_in(node):
    """Every object of a JSON document."""
    if isinstance(node, dict):
        yield node
        node = [*node.values()]
    if isinstance(node, list):
        for each in node:
            yield from schemas_in(each)


def test_every_schema_that_is_referred_to_is_there(openapi):
    """Generators leave out what refers to a schema that is missing, such as the predicts of /v1."""
    names = {node["$ref"] for node in schemas_in(openapi) if "$ref" in node}
    assert {name.removeprefix("#/components/schemas/") for name in names} <= openapi["components"]["schemas"].keys()
    for methods in openapi["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert "$defs" not in json.dumps(content["schema"])


def test_operations_and_schemas_have_names_of_their_own_that_are_words(openapi):
    ids = [operation["operationId"] for methods in openapi["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)
    assert {"predict", "add_correction", "delete_correction", "list_models", "v1_predict", "v2_infer"} <= set(ids)
    assert [each for each in ids if not re.fullmatch("(v[12]_)?[a-z]+(_[a-z]+){0,2}", each)] == []
    names = [name.lower() for name in openapi["components"]["schemas"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Z][A-Za-z0-9]+", name) for name in openapi["components"]["schemas"])


def test_two_schemas_of_one_name_are_an_error(openapi):
    class OnePicture(BaseModel):
        other: int

    with pytest.raises(ValueError, match="the OpenAPI document has two schemas OnePicture"):
        add_schemas({"components": {"schemas": dict(openapi["components"]["schemas"])}}, [OnePicture])


def test_what_every_answer_has_is_required_and_nothing_else_looks_so(openapi):
    """Generators take an optional property with a default for one that is always there."""
    schemas = openapi["components"]["schemas"]
    usual = ["digit", "confidence", "probabilities", "accepted", "reason"]
    assert schemas["Prediction"]["required"] == usual
    assert schemas["OneAnswer"]["required"] == [*usual, "model"]
    assert schemas["DigitOnLine"]["required"] == [*usual, "box"]
    assert schemas["ManyAnswers"]["required"] == ["predictions", "model"]
    assert schemas["LineAnswer"]["required"] == ["text", "predictions", "model"]
    assert schemas["OnePicture"]["required"] == ["pixels"]
    defaults = [node for name in schemas for node in schemas[name].get("properties", {}).values() if "default" in node]
    assert defaults == []


def exclusive(one, other):
    """Whether no object is of both schemas: one of them forbids what the other one requires."""
    return any(
        not a.get("additionalProperties", True) and set(b.get("required", ())) - a["properties"].keys()
        for a, b in ((one, other), (other, one))
    )


def test_no_body_is_of_two_of_several_forms(openapi):
    schemas, found = openapi["components"]["schemas"], 0
    for node in schemas_in(openapi["paths"]):
        forms = node.get("oneOf") or node.get("anyOf") or []
        named = [schemas[form["$ref"].rpartition("/")[2]] for form in forms if "$ref" in form]
        for one, other in combinations(named, 2):
            found += 1
            assert exclusive(one, other), (one["title"], other["title"])
    assert found > 7


async def test_an_answer_is_of_one_form_and_has_all_of_its_required_fields(openapi):
    forms = openapi["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    pixels = drawn(SEVEN).ravel().tolist()
    async with client_of(app_with(FakePredictor())) as client:

        async def form_of(query="", **body):
            answer = (await client.post(f"/predict{query}", **body)).json()
            return [form["$ref"].rpartition("/")[2] for form in forms if validator(openapi, form).is_valid(answer)]

        assert await form_of(json={"pixels": pixels}) == ["OneAnswer"]
        assert await form_of("?coverage=0.9", json={"pixels": pixels}) == ["OneAnswer"]
        assert await form_of(json={"instances": [pixels]}) == ["ManyAnswers"]
        picture = encoded(written(1, 2))
        assert await form_of(files={"file": picture}) == ["OneAnswer"]
        assert await form_of(files=[("file", ("a.png", picture))] * 2) == ["ManyAnswers"]
        assert await form_of(
            "?read=line&fields=digit,confidence,probabilities,accepted,reason,pixels", files={"file": picture}
        ) == ["LineAnswer"]


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
