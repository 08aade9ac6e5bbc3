"""`/v1`, as clients of TensorFlow Serving and of KServe's first protocol speak it."""

import asyncio
import base64
import gzip
import json

import pytest
from starlette.routing import compile_path

from tests.support.application import app_following, app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture, trace_of
from tests.support.shelf import Shelf
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
PREDICT = "/v1/models/lenet:predict"
SEVEN = picture(7, trace=700)
FLAT, SQUARE, CHANNEL = SEVEN.ravel().tolist(), SEVEN.tolist(), SEVEN[:, :, None].tolist()
B64 = {"b64": base64.b64encode(SEVEN.tobytes()).decode()}


@pytest.fixture
async def client():
    async with client_of(app_with(FakePredictor(), FakePredictor("mlp", 1), request_limit_rows=8)) as client:
        yield client


def seven(answer, key="predictions"):
    """Asserts that it is the answer to SEVEN alone."""
    assert list(answer) == [key]
    ((*row,),) = answer[key]
    assert len(row) == 10
    assert row[7] == max(row)
    assert trace_of(row[7]) == 700


def refused(response, status, message):
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert (response.status_code, response.json()["error"][: len(message)]) == (status, message)


@pytest.mark.parametrize(
    "row",
    [FLAT, SQUARE, CHANNEL, B64, {"pixels": FLAT}, {"pixels": SQUARE}, {"pixels": CHANNEL}, {"pixels": B64}],
    ids=["784", "28 x 28", "28 x 28 x 1", "b64", "named 784", "named 28 x 28", "named 28 x 28 x 1", "named b64"],
)
async def test_a_picture_in_every_form_gets_ten_probabilities_without_a_name(client, row):
    seven((await client.post(PREDICT, json={"instances": [row]})).json())


@pytest.mark.parametrize("inputs", [[FLAT], [SQUARE], [CHANNEL], [B64], {"pixels": [FLAT]}, {"pixels": [B64]}])
async def test_column_form_is_answered_in_column_form(client, inputs):
    seven((await client.post(PREDICT, json={"inputs": inputs})).json(), "outputs")


async def test_rows_are_answered_in_their_order_whatever_their_forms(client):
    rows = [picture(n, n) for n in range(4)]
    forms = [rows[0].ravel().tolist(), rows[1].tolist(), {"pixels": rows[2].tolist()}, rows[3][:, :, None].tolist()]
    answer = (await client.post(PREDICT, json={"instances": forms})).json()
    assert [trace_of(max(row)) for row in answer["predictions"]] == [0, 1, 2, 3]


async def test_the_signature_says_what_full_ink_is(client):
    inked = {"signature_name": "unit_scale", "instances": [(SEVEN / 255).tolist()]}
    seven((await client.post(PREDICT, json=inked)).json())
    default = {"signature_name": "serving_default", "instances": [FLAT]}
    seven((await client.post(PREDICT, json=default)).json())


@pytest.mark.parametrize("path", ["", "/versions/3", "/labels/champion", "/labels/stable"])
async def test_versions_and_labels_choose(client, path):
    response = await client.post(f"/v1/models/lenet{path}:predict", json={"instances": [FLAT]})
    seven(response.json())
    assert (response.headers["x-model-name"], response.headers["x-model-version"]) == ("lenet", "3")


@pytest.mark.parametrize("media_type", [None, "application/x-www-form-urlencoded", "text/plain"])
async def test_a_body_needs_no_content_type_as_in_the_examples_of_tensorflow_serving(client, media_type):
    """`curl -d '{"instances": …}'` calls it a form, `requests.post(url, data=json.dumps(…))` calls it nothing."""
    headers = {"Content-Type": media_type} if media_type else {}
    response = await client.post(PREDICT, content=json.dumps({"instances": [FLAT]}), headers=headers)
    seven(response.json())


async def test_a_compressed_body_is_inflated_here_too(client):
    body = gzip.compress(json.dumps({"instances": [FLAT]}).encode(), mtime=0)
    seven((await client.post(PREDICT, content=body, headers={"Content-Encoding": "gzip"})).json())


async def test_a_prediction_can_be_corrected_by_its_id(tmp_path):
    app = app_with(FakePredictor(), feedback_url=f"sqlite:///{tmp_path}/feedback.sqlite3")
    async with client_of(app) as client:
        number = (await client.post(PREDICT, json={"instances": [FLAT]})).headers["x-prediction-id"]
        response = await client.post("/feedback", json={"prediction": number, "digit": 7})
        assert response.status_code == 201


PICTURE = "want a list of 784 numbers or of 28 rows of 28"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not valid JSON: "),
        (b"", "the body is empty, want "),
        (b"[]", "the body is an empty list, want an object: "),
        ({}, 'the body has neither "instances" nor "inputs", want one of them: '),
        ({"instances": [FLAT], "inputs": [FLAT]}, 'the body has both "instances" and "inputs", want one of them: '),
        ({"instances": [FLAT], "extra": 1}, '"extra" is not known here, want "instances" or "inputs", and "signature'),
        ({"instances": []}, "instances is empty, want at least one picture"),
        ({"instances": {"pixels": [FLAT]}}, "instances is an object, want a list of pictures"),
        (
            {"instances": FLAT},
            "instances has the pixels of one picture, want a list of pictures; a list of one picture is",
        ),
        (
            {"instances": [{"0": 0, "1": 0}]},
            f"instances[0] is an object, {PICTURE}; JSON.stringify makes an object of a",
        ),
        (
            {"inputs": {"0": 0, "1": 0}},
            "inputs is an object, want a list of pictures; JSON.stringify makes an object of a",
        ),
        ({"inputs": [{"0": 0}]}, f"inputs[0] is an object, {PICTURE}; JSON.stringify makes an object of a typed array"),
        ({"instances": [FLAT] * 9}, "instances has 9 pictures, want at most 8 in a request"),
        ({"instances": [FLAT, FLAT[1:]]}, "instances[1] has 783 pixels, want 784 (28 x 28, row by row)"),
        ({"instances": [{"pixels": FLAT[1:]}]}, "instances[0].pixels has 783 pixels, want 784"),
        (
            {"instances": [{"image": FLAT}]},
            'instances[0] is an object with "image", want {"pixels": a picture} or {"b6',
        ),
        ({"instances": [{}]}, "instances[0] is an object with nothing, want "),
        ({"instances": [[*FLAT[1:], 256]]}, "instances[0][783] is 256, want a number from 0 to 255"),
        ({"instances": [[*FLAT[1:], True]]}, "instances[0][783] is true (a boolean), want a number from 0 to 255"),
        ({"instances": [[*FLAT[1:], "1"]]}, 'instances[0][783] is "1" (a string), want a number from 0 to 255'),
        (
            {"signature_name": "unit_scale", "instances": [FLAT]},
            "instances[0][0] is 7, want a number from 0 to 1",
        ),
        (
            json.dumps({"instances": [[*FLAT[1:], float("nan")]]}).encode(),
            "instances[0][783] is NaN, want a number from 0 to 255",
        ),
        ({"instances": [{"b64": "!"}]}, 'instances[0].b64 is "!" (a string), want 784 bytes in base64'),
        ({"instances": [{"b64": 7}]}, "instances[0].b64 is 7, want 784 bytes in base64"),
        ({"instances": [{"b64": "AAAA"}]}, "instances[0] has 3 pixels, want 784"),
        ({"instances": [{"b64": "iVBORw0KGgoA"}]}, "instances[0].b64 has 9 bytes, want 784; an image file is sent as"),
        (
            {"instances": [{"b64": "data:image/png;base64,iVBORw0KGgoA"}]},
            'instances[0].b64 is "data:image/png;base64,iVBORw0KGgoA" (a string), want 784 bytes in base64',
        ),
        (
            b"\x89PNG\r\n\x1a\n",
            "the body is not UTF-8: byte 0x89 at offset 0; it is an image file, which POST /predict",
        ),
        ({"instances": [[[[0, 0, 0]] * 28] * 28]}, "instances[0][0][0] has 3 numbers, want 1: pictures are grey"),
        ({"instances": [[[[0], 0] * 14] * 28]}, "instances[0][0][1] is 0, want a list of one number"),
        ({"inputs": [{"pixels": FLAT}]}, "inputs[0] is an object, want a picture or "),
        ({"inputs": {"pixels": [FLAT], "x": 1}}, 'inputs is an object with "pixels", "x", want {"pixels": a picture}'),
        ({"inputs": {"pixels": [FLAT[1:]]}}, "inputs.pixels[0] has 783 pixels, want 784"),
        (
            {"signature_name": "predict", "instances": [FLAT]},
            'signature_name is "predict" (a string), want serving_default (pixels from 0 to 255) or unit_scale (pixe',
        ),
        ({"signature_name": 1, "instances": [FLAT]}, "signature_name is 1, want serving_default "),
    ],
)
async def test_what_is_wrong_with_a_body_is_400_with_a_text_of_its_own(client, body, message):
    """But for too many pictures, which is 413 everywhere."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    refused(await client.post(PREDICT, content=content), 413 if "at most" in message else 400, message)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/resnet:predict", 404, "model 'resnet' is not loaded; loaded: lenet, mlp"),
        (
            "/v1/models/lenet/versions/9:predict",
            404,
            "version '9' of lenet is not loaded; loaded: 3 (champion, stable)",
        ),
        (
            "/v1/models/lenet/versions/champion:predict",
            400,
            "version is 'champion', want a number; aliases stand behind",
        ),
        (
            "/v1/models/lenet/labels/3:predict",
            400,
            "label is '3', want an alias such as champion; numbers stand behind",
        ),
        ("/v1/models/lenet/labels/canary:predict", 404, "version 'canary' of lenet is not loaded; loaded: 3 (cham"),
        *(
            (f"/v1/models/{of}:{verb}", 404, f":{verb} is not offered here, want :predict")
            for of in ("lenet", "lenet/versions/3", "lenet/labels/stable", "nobody")
            for verb in ("classify", "regress", "multiInference", "Predict")
        ),
        ("/v1/predict", 404, "there is nothing at /v1/predict; /docs describes what there is"),
    ],
)
async def test_a_path_that_means_nothing_has_its_own_error(client, path, status, message):
    refused(await client.post(path, json={"instances": [FLAT]}), status, message)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("of", ["", "/versions/3", "/labels/stable"])
async def test_predict_is_a_post(client, of, method):
    """GET used to look for a model named `lenet:predict`."""
    path = f"/v1/models/lenet{of}:predict"
    response = await client.request(method, path)
    refused(response, 405, f"{method} is not possible at {path}, want POST")
    assert response.headers["Allow"] == "POST"


async def test_other_verbs_are_told_by_get_as_well(client):
    refused(await client.get("/v1/models/lenet:classify"), 404, ":classify is not offered here, want :predict")


@pytest.mark.parametrize(
    "text",
    [
        base64.encodebytes(SEVEN.tobytes()).decode(),  # a line break after 76 characters
        base64.b64encode(SEVEN.tobytes()).decode().rstrip("="),
        " \t\r\n\v\f" + base64.b64encode(SEVEN.tobytes()).decode().replace("==", "= =\n"),
        base64.b64encode(SEVEN.tobytes()).decode().replace("=", "."),
    ],
    ids=["lines", "no padding", "white space", "dots"],
)
async def test_base64_is_read_as_tensorflow_serving_reads_it(client, text):
    seven((await client.post(PREDICT, json={"instances": [{"b64": text}]})).json())


@pytest.mark.parametrize(
    "text", ["-_-_", "AAAAA", "AA=", "AAA==", "AAAA=", "A=A=", "=", "AAAA\u00a0", "\u00e4AAA", "AAAA,", "AA\u2003AA"]
)
async def test_what_tensorflow_serving_would_not_read_is_no_base64(client, text):
    """The URL-safe alphabet among it."""
    response = await client.post(PREDICT, json={"instances": [{"b64": text}]})
    refused(response, 400, "instances[0].b64 is ")
    assert "want 784 bytes in base64 (RFC 4648, section 4): " in response.json()["error"]


async def test_an_empty_name_of_a_signature_is_the_default(client):
    seven((await client.post(PREDICT, json={"signature_name": "", "instances": [FLAT]})).json())


@pytest.mark.parametrize("of", ["", "/versions/3", "/labels/stable"])
async def test_the_status_is_that_of_tensorflow_serving_with_what_kserve_looks_for_beside_it(client, of):
    assert (await client.get(f"/v1/models/lenet{of}")).json() == {
        "name": "lenet",
        "ready": True,
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ],
    }


async def test_a_version_that_could_not_be_loaded_is_at_its_end_with_the_reason():
    shelf = Shelf({"lenet": {1: FakePredictor(version=1), 2: ValueError("it is torn")}})
    shelf.policy = "all"
    async with client_of(app_following(shelf, poll_interval_s=0)) as client:
        states = (await client.get("/v1/models/lenet")).json()["model_version_status"]
    assert states[1] == {
        "version": "2",
        "state": "END",
        "status": {"error_code": "INTERNAL", "error_message": "it is torn"},
    }


async def test_a_model_of_a_service_that_shuts_down_is_not_ready():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        app.service.registry.drain()
        assert (await client.get("/v1/models/lenet")).json()["ready"] is False


async def test_metadata_have_the_signatures_with_one_output_each(client):
    said = (await client.get("/v1/models/lenet/metadata")).json()
    assert said["model_spec"] == {"name": "lenet", "signature_name": "", "version": "3"}
    signatures = said["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "unit_scale"]
    for signature in signatures.values():
        assert signature["method_name"] == "tensorflow/serving/predict"
        (pixels,), (probabilities,) = signature["inputs"].values(), signature["outputs"].values()
        assert [dim["size"] for dim in pixels["tensor_shape"]["dim"]] == ["-1", "784"]
        assert [dim["size"] for dim in probabilities["tensor_shape"]["dim"]] == ["-1", "10"]
        assert pixels["dtype"] == probabilities["dtype"] == "DT_FLOAT"


async def test_the_models_are_listed_as_kserve_lists_them(client):
    assert (await client.get("/v1/models")).json() == {"models": ["lenet", "mlp"]}


async def test_a_failing_model_is_500_and_not_200_with_an_error_inside(caplog):
    predictor = FakePredictor()
    predictor.poison, predictor.nan = 6, 5
    async with client_of(app_with(predictor)) as client:
        failed = await client.post(PREDICT, json={"instances": [picture(6).tolist()]})
        refused(failed, 500, "the model failed on this request; the log of the service says how")
        nan = await client.post(PREDICT, json={"instances": [picture(5).tolist()]})
        refused(nan, 500, "the model's answer made no sense; the log of the service says how")


async def test_who_gets_no_answer_in_time_gets_504_and_a_full_queue_is_503_with_retry_after():
    predictor = FakePredictor()
    app = app_with(predictor, queue_limit_rows=2, request_limit_rows=2)
    batcher = app.service.registry.resolve().batcher
    async with client_of(app) as client:
        predictor.gate.clear()
        late = await client.post(PREDICT, json={"instances": [FLAT]}, headers={"X-Timeout-Ms": "30"})
        refused(late, 504, "there was no answer in the time")
        held = asyncio.create_task(client.post(PREDICT, json={"instances": [FLAT, FLAT]}))
        await asyncio.to_thread(eventually, lambda: batcher.waiting_rows == 2)
        full = await client.post(PREDICT, json={"instances": [FLAT]})
        refused(full, 503, "2 pictures are waiting, and the limit is 2; try again later")
        assert full.headers["retry-after"] == "1"
        predictor.gate.set()
        assert (await held).status_code == 200
        wrong = await client.post(PREDICT, json={}, headers={"X-Timeout-Ms": "soon"})
        refused(wrong, 400, "X-Timeout-Ms is 'soon', want a number of milliseconds")


def test_paths_of_many_colons_are_matched_in_linear_time():
    """16 KB of them once held the event loop for three seconds."""
    pattern = compile_path("/v1/models/{model}:{verb:verb}")[0]
    assert pattern.match("/v1/models/lenet:classify")
    assert not pattern.match("/v1/models/" + ":" * 200_000 + "/")
