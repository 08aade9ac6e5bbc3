"""`/feedback` agrees with its OpenAPI documentation and takes the examples given there."""

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.application import app_with, client_of
from tests.support.examples import examples
from tests.support.fake_predictor import FakePredictor
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def documented_api(tmp_path_factory, keys_file):
    url = f"sqlite:///{tmp_path_factory.mktemp('documented')}/feedback.sqlite3"
    app = app_with(FakePredictor(), feedback_url=url, keys_file=keys_file, body_limit_bytes=100_000)
    api = schemathesis.openapi.from_dict(app.openapi())
    api.app = app
    return api


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_schemathesis_finds_nothing_that_differs_from_the_documentation(documented_api, method):
    operation = documented_api["/feedback"][method]
    # A schema can't say that no pixel is above the scale: pictures that it takes may still be out of range.
    unsaid = [positive_data_acceptance] if method == "POST" else []

    @settings(
        deadline=None,
        max_examples=examples(40),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(operation.as_strategy())
    def validate(case):
        case.call_and_validate(headers=AUTHORIZATION if method == "GET" else {}, excluded_checks=unsaid)

    validate()


async def test_the_examples_of_the_documentation_are_of_its_schema_and_are_kept(file):
    app = app_with(FakePredictor(), feedback_url=file)
    document = app.openapi()
    content = document["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]
    question = jsonschema_rs.Draft202012Validator({**content["schema"], "components": document["components"]})
    async with client_of(app) as client:
        for example, status in zip(content["examples"].values(), (201, 404), strict=True):
            assert question.is_valid(example["value"])
            assert (await client.post("/feedback", json=example["value"])).status_code == status
