"""Warnings about pictures in another frame, in the answers of every protocol: a field in JSON, a header in all."""

import io

import jsonschema_rs
import numpy as np
import pytest

from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.pictures import BLACK, PNG, encoded

pytestmark = pytest.mark.anyio
OCTETS = "application/octet-stream"
INVERTED = 255 - picture(6)  # 249 in its first pixel: FakePredictor takes it for a 9, and does not accept it
BOTH = np.stack([picture(7), INVERTED])
CODE = {"x-warnings": "polarity"}


@pytest.fixture
async def client():
    async with client_of(app_with(FakePredictor())) as client:
        yield client


def headers_of(response):
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.headers.items() if name == "x-warnings"}


async def test_an_answer_in_json_has_warnings_only_where_there_are_some(client):
    schema = client._transport.app.openapi()
    answer = schema["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    documented = jsonschema_rs.Draft202012Validator({**answer, "components": schema["components"]})
    for body, pictures in (
        ({"pixels": INVERTED.tolist()}, [0]),
        ({"instances": BOTH.tolist()}, [1]),
        ({"pixels": (INVERTED / 255).tolist(), "scale": 1}, [0]),
        ({"pixels": picture(7).tolist()}, None),
        ({"instances": [picture(7).tolist()]}, None),
    ):
        response = await client.post("/predict", json=body)
        assert documented.is_valid(response.json())
        found = response.json().get("warnings")
        if pictures is None:
            assert found is None
            assert headers_of(response) == {}
            continue
        (warning,) = found
        assert (warning["code"], warning["pictures"]) == ("polarity", pictures)
        assert "the border is full of ink" in warning["message"]
        assert headers_of(response) == CODE


@pytest.mark.parametrize("accept", ["application/json", OCTETS, "application/x-npy"])
async def test_bytes_and_arrays_are_warned_about_whatever_the_answer_is(client, accept):
    file = io.BytesIO()
    np.save(file, BOTH)
    for body, kind in ((BOTH.tobytes(), OCTETS), (file.getvalue(), "application/x-npy")):
        response = await client.post("/predict", content=body, headers={"Content-Type": kind, "Accept": accept})
        assert headers_of(response) == CODE


async def test_rgba_is_warned_about_in_place_of_four_pictures(client):
    rgba = np.dstack([INVERTED, INVERTED, INVERTED, np.full((28, 28), 255)]).astype(np.uint8)
    response = await client.post("/predict", content=rgba.tobytes(), headers={"Content-Type": OCTETS})
    assert headers_of(response) == {"x-warnings": "channels"}
    assert len(response.json()["predictions"]) == 4


async def test_other_protocols_have_the_header(client):
    tensor = {"name": "pixels", "shape": [2, 28, 28], "datatype": "UINT8", "data": BOTH.ravel().tolist()}
    for path, body in (
        ("/v1/models/lenet:predict", {"instances": BOTH.tolist()}),
        ("/v2/models/lenet/infer", {"inputs": [tensor]}),
    ):
        assert headers_of(await client.post(path, json=body)) == CODE
    assert headers_of(await client.post("/v1/models/lenet:predict", json={"instances": [picture(7).tolist()]})) == {}


async def test_pictures_that_were_prepared_here_have_no_warnings(client):
    response = await client.post("/predict", content=encoded(BLACK), headers={"Content-Type": PNG})
    assert headers_of(response) == {}
    assert "warnings" not in response.json()
