"""`/v2`, as clients of Triton, KServe and MLServer speak it."""

import asyncio
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from service.protocols.open_inference.tensors import DATATYPES
from tests.support.application import app_following, app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture, trace_of
from tests.support.keys import AUTHORIZATION
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
INFER = "/v2/models/lenet/infer"
LENGTH = "Inference-Header-Content-Length"
PICTURES = np.stack([picture(digit, trace=digit * 10) for digit in (7, 2, 1)])


@pytest.fixture
async def client():
    async with client_of(app_with(FakePredictor(), FakePredictor("mlp", 1), request_limit_rows=8)) as client:
        yield client


def tensor(pictures=PICTURES, datatype="UINT8", **changed):
    """The input, flat, with some of it changed; None leaves a key out."""
    flat = np.asarray(pictures)
    made = {"name": "pixels", "shape": [len(flat), 784], "datatype": datatype, "data": flat.ravel().tolist()} | changed
    return {key: value for key, value in made.items() if value is not None}


def with_binary(request, *parts):
    """A body of JSON and tensors, and its headers."""
    head = json.dumps(request).encode()
    return {"content": b"".join([head, *parts]), "headers": {LENGTH: str(len(head))}}


def binary(pictures=PICTURES, datatype="UINT8", size=None, **changed):
    content = np.asarray(pictures).astype(DATATYPES[datatype]).tobytes()
    size = len(content) if size is None else size
    changed = {"data": None, "parameters": {"binary_data_size": size}} | changed
    return with_binary({"inputs": [tensor(pictures, datatype, **changed)]}, content)


def outputs_of(response):
    """The outputs by name, as arrays."""
    assert response.status_code == 200, response.text
    content, tail = response.content, b""
    if length := response.headers.get(LENGTH):
        assert response.headers["content-type"] == "application/octet-stream"
        content, tail = content[: int(length)], content[int(length) :]
    found = {}
    for output in json.loads(content)["outputs"]:
        dtype = {"FP32": "<f4", "INT64": "<i8", "BYTES": object}[output["datatype"]]
        if "data" in output:
            values = np.array(output["data"], dtype)
        else:
            size = output["parameters"]["binary_data_size"]
            values, tail = np.frombuffer(tail[:size], dtype), tail[size:]
        found[output["name"]] = values.reshape(output["shape"])
    assert tail == b""
    return found


def right(response, pictures=PICTURES):
    """Asserts that it is the answer to the pictures, with all outputs."""
    found = outputs_of(response)
    assert {name: values.shape for name, values in found.items()} == {
        "probabilities": (len(pictures), 10),
        "digit": (len(pictures),),
        "confidence": (len(pictures),),
    }
    assert found["digit"].tolist() == pictures[:, 0, 0].tolist()
    assert [trace_of(c) for c in found["confidence"].tolist()] == pictures[:, 0, 1].tolist()
    assert (found["probabilities"].max(axis=1) == found["confidence"]).all()


def refused(response, status, message):
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert (response.status_code, response.json()["error"][: len(message)]) == (status, message)


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "FP16"])
async def test_pixels_of_every_datatype_are_read_from_json(client, datatype):
    right(await client.post(INFER, json={"inputs": [tensor(datatype=datatype)]}))


@pytest.mark.parametrize("datatype", DATATYPES)
async def test_pixels_of_every_datatype_are_read_from_binary(client, datatype):
    right(await client.post(INFER, **binary(datatype=datatype)))


@pytest.mark.parametrize("shape", [[3, 784], [3, 28, 28], [3, 28, 28, 1]])
async def test_data_may_be_flat_or_nested_as_the_shape_is(client, shape):
    flat = await client.post(INFER, json={"inputs": [tensor(shape=shape)]})
    nested = await client.post(INFER, json={"inputs": [tensor(shape=shape, data=PICTURES.reshape(shape).tolist())]})
    in_binary = await client.post(INFER, **binary(shape=shape))
    right(flat)
    assert flat.json() == nested.json() == in_binary.json()


async def test_the_scale_is_a_parameter_of_the_request(client):
    unit = PICTURES / 255
    parameters = {"scale": 1}
    body = {"parameters": parameters, "inputs": [tensor(unit, "FP64")]}
    right(await client.post(INFER, json=body))
    sent = tensor(unit, "FP32", data=None, parameters={"binary_data_size": unit.size * 4})
    request = {"parameters": parameters, "inputs": [sent]}
    right(await client.post(INFER, **with_binary(request, unit.astype("<f4").tobytes())))
    without = await client.post(INFER, json={"parameters": {"scale": 100}, "inputs": [tensor(picture(200)[None])]})
    refused(without, 400, "inputs[0].data[0] is 200, want a whole number from 0 to 100 (UINT8)")


async def test_the_id_comes_back_when_there_was_one(client):
    assert (await client.post(INFER, json={"id": "ä-1", "inputs": [tensor()]})).json()["id"] == "ä-1"
    assert "id" not in (await client.post(INFER, json={"inputs": [tensor()]})).json()


@pytest.mark.parametrize("path", ["", "/versions/3", "/versions/champion"])
async def test_versions_choose_and_the_answer_says_who_gave_it(client, path):
    answer = (await client.post(f"/v2/models/lenet{path}/infer", json={"inputs": [tensor()]})).json()
    assert (answer["model_name"], answer["model_version"]) == ("lenet", "3")


async def test_only_the_outputs_that_are_named_come_back_in_their_order(client):
    body = {"inputs": [tensor()], "outputs": [{"name": "confidence"}, {"name": "digit"}]}
    answer = (await client.post(INFER, json=body)).json()
    assert [output["name"] for output in answer["outputs"]] == ["confidence", "digit"]
    assert answer["outputs"][1] == {"name": "digit", "datatype": "INT64", "shape": [3], "data": [7, 2, 1]}


async def test_all_outputs_or_some_come_in_binary(client):
    everything = await client.post(INFER, json={"inputs": [tensor()], "parameters": {"binary_data_output": True}})
    assert everything.headers[LENGTH]
    right(everything)
    outputs = [{"name": "digit"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    some = await client.post(INFER, json={"inputs": [tensor()], "outputs": outputs})
    described = json.loads(some.content[: int(some.headers[LENGTH])])["outputs"]
    assert described[0]["data"] == [7, 2, 1]
    assert described[1]["parameters"] == {"binary_data_size": 3 * 10 * 4}
    but_one = {
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "digit", "parameters": {}}, {"name": "confidence", "parameters": {"binary_data": False}}],
    }
    found = await client.post(INFER, json={"inputs": [tensor()], **but_one})
    described = json.loads(found.content[: int(found.headers[LENGTH])])["outputs"]
    assert ["data" in output for output in described] == [False, True]


async def test_a_raw_request_is_the_bytes_of_pictures_and_its_answer_is_binary(client):
    response = await client.post(INFER, content=PICTURES.tobytes(), headers={LENGTH: "0"})
    assert response.headers[LENGTH]
    right(response)
    cut = await client.post(INFER, content=PICTURES.tobytes()[1:], headers={LENGTH: "0"})
    refused(cut, 400, "the body has 2351 bytes, want a multiple of 784")


async def test_a_compressed_body_counts_its_json_when_it_is_inflated(client):
    sent = binary()
    headers = {**sent["headers"], "Content-Encoding": "gzip"}
    right(await client.post(INFER, content=gzip.compress(sent["content"], mtime=0), headers=headers))


@pytest.mark.parametrize("in_binary", [False, True])
async def test_classification_names_the_best_classes_first(client, in_binary):
    parameters = {"classification": 2, "binary_data": in_binary}
    body = {"inputs": [tensor()], "outputs": [{"name": "probabilities", "parameters": parameters}]}
    response = await client.post(INFER, json=body)
    if in_binary:
        length = int(response.headers[LENGTH])
        tail = response.content[length:]
        assert tail[:14] == b"\x0a\0\0\0" + b"0.500267:7"
        (output,) = json.loads(response.content[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": len(tail)}
    else:
        (output,) = response.json()["outputs"]
        assert output["data"] == ["0.500267:7", "0.055526:0", "0.500076:2", "0.055547:0", "0.500038:1", "0.055551:0"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 2])


async def test_more_classes_than_there_are_are_all_of_them(client):
    body = {"inputs": [tensor()], "outputs": [{"name": "probabilities", "parameters": {"classification": 99}}]}
    assert (await client.post(INFER, json=body)).json()["outputs"][0]["shape"] == [3, 10]


ONE = picture(7)[None]
NOT_A_PICTURE = "want [n, 784], [n, 28, 28] or [n, 28, 28, 1] for n pictures, 1 or more"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "image"}, 'inputs[0].name is "image" (a string), want "pixels"'),
        ({"name": None}, 'inputs[0] has no "name", want '),
        ({"datatype": None}, 'inputs[0] has no "datatype", want '),
        ({"datatype": "FP8"}, 'inputs[0].datatype is "FP8" (a string), want one of UINT8, UINT16'),
        ({"datatype": "BOOL"}, 'inputs[0].datatype is "BOOL" (a string), want one of UINT8'),
        ({"datatype": 8}, "inputs[0].datatype is 8, want one of UINT8"),
        ({"datatype": "FP16"}, "inputs[0] has data in JSON, which has no form of FP16, want binary data, or one of UI"),
        ({"shape": None}, 'inputs[0] has no "shape", want '),
        ({"shape": [784]}, f"inputs[0].shape is [784], {NOT_A_PICTURE}"),
        ({"shape": [28, 28]}, f"inputs[0].shape is [28, 28], {NOT_A_PICTURE}"),
        ({"shape": [0, 784]}, f"inputs[0].shape is [0, 784], {NOT_A_PICTURE}"),
        ({"shape": [-1, 784]}, f"inputs[0].shape is [-1, 784], {NOT_A_PICTURE}"),
        ({"shape": [1, 28, 28, 3]}, f"inputs[0].shape is [1, 28, 28, 3], {NOT_A_PICTURE}"),
        ({"shape": [True, 784]}, f"inputs[0].shape is [true (a boolean), 784], {NOT_A_PICTURE}"),
        ({"shape": []}, f"inputs[0].shape is [], {NOT_A_PICTURE}"),
        ({"shape": "all"}, f'inputs[0].shape is "all" (a string), {NOT_A_PICTURE}'),
        ({"shape": [2, 784]}, "inputs[0].data has 784 numbers, want 1568, as the shape [2, 784] says"),
        ({"data": None}, 'inputs[0] has neither "data" nor "binary_data_size", want "data", or "parameters": {'),
        ({"data": "AAAA"}, 'inputs[0].data is "AAAA" (a string), want a list of numbers'),
        ({"data": []}, "inputs[0].data has 0 numbers, want 784, as the shape [1, 784] says"),
        ({"data": [[0] * 783]}, "inputs[0].data[0] has 783 items, want 784, as the shape says"),
        ({"data": [[0] * 784] * 2}, "inputs[0].data has 2 items, want 1 as the first number of the shape"),
        (
            {"shape": [1, 28, 28], "data": [[[0] * 28] * 27 + [0]]},
            "inputs[0].data[0][27] is 0, want a list of 28, as the shape says",
        ),
        (
            {"shape": [1, 28, 28], "data": [[[0] * 28] * 27 + [[*[0] * 27, 256]]]},
            "inputs[0].data[0][27][27] is 256, want a whole number from 0 to 255 (UINT8)",
        ),
        ({"data": [*[0] * 783, -1]}, "inputs[0].data[783] is -1, want a whole number from 0 to 255 (UINT8)"),
        ({"data": [*[0] * 783, 0.5]}, "inputs[0].data[783] is 0.5, want a whole number from 0 to 255 (UINT8)"),
        ({"data": [*[0] * 783, True]}, "inputs[0].data[783] is true (a boolean), want a whole number from 0"),
        ({"data": [*[0] * 783, None]}, "inputs[0].data[783] is null, want a whole number from 0 to 255 (UINT8)"),
        ({"data": [*[0] * 783, [0]]}, "inputs[0].data[783] is a list of 1, want a whole number"),
        ({"data": [*[0] * 783, 1e300]}, "inputs[0].data[783] is 1e+300, want a whole number from 0 to 255"),
        (
            {"datatype": "INT8", "data": [*[0] * 783, 128]},
            "inputs[0].data[783] is 128, want a whole number from 0 to 127",
        ),
        (
            {"datatype": "FP32", "data": [*[0] * 783, 255.5]},
            "inputs[0].data[783] is 255.5, want a number from 0 to 255",
        ),
        (
            {"datatype": "FP32", "data": [*[0] * 783, float("nan")]},
            "inputs[0].data[783] is NaN, want a number from 0 to",
        ),
        (
            {"datatype": "FP64", "data": [*[0] * 783, float("inf")]},
            "inputs[0].data[783] is Infinity, want a number fro",
        ),
        ({"parameters": 7}, "inputs[0].parameters is 7, want an object"),
        (
            {"parameters": {"binary_data_size": 784}},
            'inputs[0] has both "data" and "binary_data_size", want "data", or "parameters": {"binary_data_size": …}',
        ),
        (
            {"data": None, "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 784}},
            "inputs[0].parameters has shared_memory_region, want the values in the body: no memory is shared here",
        ),
    ],
)
async def test_what_is_wrong_with_a_tensor_is_400_with_a_text_of_its_own(client, changed, message):
    body = json.dumps({"inputs": [tensor(ONE, **changed)]})
    refused(await client.post(INFER, content=body), 400, message)


OUTPUTS = "want one of probabilities, digit, confidence"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": None}, 'the body has no "inputs", want {"inputs": [{"name": "pixels"'),
        ({"inputs": {}}, "inputs is an object, want a list of one tensor"),
        ({"inputs": []}, 'inputs has 0 tensors, want one, named "pixels"; several pictures make one tensor'),
        ({"inputs": [tensor(ONE)] * 2}, 'inputs has 2 tensors, want one, named "pixels"'),
        ({"inputs": [[]]}, 'inputs[0] is an empty list, want an object with "name", "shape", "datatype" and "data"'),
        ({"id": 7}, "id is 7, want a string"),
        ({"parameters": []}, "parameters is an empty list, want an object"),
        (
            {"parameters": {"scale": "1"}},
            'parameters.scale is "1" (a string), want a number, the value that means full',
        ),
        ({"parameters": {"scale": 0}}, "parameters.scale is 0, want a number from 1e-300 to 1e+300"),
        ({"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output is 1, want true or false"),
        ({"outputs": {}}, "outputs is an object, want a list of outputs, each with a name"),
        ({"outputs": [7]}, 'outputs[0] is 7, want an object with a "name"'),
        ({"outputs": [{}]}, 'outputs[0] has no "name", want '),
        ({"outputs": [{"name": "logits"}]}, f'outputs[0].name is "logits" (a string), {OUTPUTS}'),
        ({"outputs": [{"name": []}]}, f"outputs[0].name is an empty list, {OUTPUTS}"),
        ({"outputs": [{"name": "digit"}] * 2}, "outputs[1] is digit a second time, want it once"),
        (
            {"outputs": [{"name": "digit", "parameters": {"binary_data": "yes"}}]},
            'outputs[0].parameters.binary_data is "yes" (a string), want true or false',
        ),
        (
            {"outputs": [{"name": "digit", "parameters": {"classification": 3}}]},
            "outputs[0].parameters.classification goes with probabilities; with digit, want none",
        ),
        (
            {"outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]},
            "outputs[0].parameters.classification is 0, want how many of the best classes, a whole number from 1",
        ),
        (
            {"outputs": [{"name": "digit", "parameters": {"shared_memory_region": "r"}}]},
            "outputs[0].parameters has shared_memory_region, want the values in the body: no memory is shared here",
        ),
    ],
)
async def test_what_is_wrong_with_a_request_is_400_with_a_text_of_its_own(client, changed, message):
    refused(await client.post(INFER, json={"inputs": [tensor(ONE)]} | changed), 400, message)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (
            binary(ONE, size=783),
            "inputs[0].parameters.binary_data_size has 783 bytes, want 784: [1, 784] of UINT8, 1 by",
        ),
        (
            binary(ONE, "FP32", shape=[2, 784]),
            "inputs[0].parameters.binary_data_size has 3136 bytes, want 6272: [2, 784] of FP32, 4 bytes each",
        ),
        (
            binary(ONE, size="784"),
            'inputs[0].parameters.binary_data_size is "784" (a string), want a whole number of by',
        ),
        (
            with_binary({"inputs": [tensor(ONE, data=None, parameters={"binary_data_size": 784})]}, bytes(783)),
            "the body has 783 bytes behind its JSON, want 784, as inputs[0].parameters.binary_data_size says",
        ),
        (
            with_binary({"inputs": [tensor(ONE, data=None, parameters={"binary_data_size": 784})]}, bytes(785)),
            "the body has 785 bytes behind its JSON, want 784, as inputs[0].parameters.binary_data_size says",
        ),
        (
            with_binary({"inputs": [tensor(ONE)]}, b"rest"),
            "the body has 4 bytes behind its JSON, and no input has binary_data_size, want none",
        ),
        (binary(ONE * 0 + 300.0, "FP32"), "inputs[0].data[0][0] is 300.0, want a number from 0 to 255 (FP32)"),
        (binary(ONE * np.nan, "FP16"), "inputs[0].data[0][0] is NaN, want a number from 0 to 255 (FP16)"),
        (
            binary(np.full((1, 28, 28), -1), "INT8", shape=[1, 28, 28]),
            "inputs[0].data[0][0][0] is -1.0, want a whole number from 0 to 127 (INT8)",
        ),
        (
            {"content": b"{}", "headers": {LENGTH: "3"}},
            f"{LENGTH} is 3, want how many bytes of the body are JSON, 0 to 2",
        ),
        ({"content": b"{}", "headers": {LENGTH: "-1"}}, f"{LENGTH} is '-1', want how many bytes of the body are JSON"),
        ({"content": b"{}", "headers": {LENGTH: "9" * 5000}}, f"{LENGTH} is 9999999999999999999999999999999999999"),
        ({"content": b"{}", "headers": {LENGTH: "1"}}, "the body is not valid JSON: "),
        ({"content": b"", "headers": {LENGTH: "0"}}, "the body has 0 bytes, want a multiple of 784"),
    ],
)
async def test_what_is_wrong_with_binary_tensors_is_400_with_a_text_of_its_own(client, sent, message):
    refused(await client.post(INFER, **sent), 400, message)


async def test_too_many_pictures_are_413_whether_they_are_there_or_only_announced(client):
    message = "inputs[0].shape has 9 pictures, want at most 8 in a request"
    refused(await client.post(INFER, json={"inputs": [tensor(shape=[9, 784])]}), 413, message)
    raw = await client.post(INFER, content=bytes(9 * 784), headers={LENGTH: "0"})
    refused(raw, 413, "the body has 9 pictures, want at most 8 in a request")


async def test_what_other_servers_clients_send_beside_it_is_left_alone(client):
    """KServe's client sends model_name; MLServer's writes null for what it does not say, and has other parameters."""
    body = {
        "model_name": "lenet",
        "id": None,
        "outputs": None,
        "parameters": {"content_type": "np", "headers": {}},
        "inputs": [tensor(parameters={"content_type": "np"})],
    }
    right(await client.post(INFER, json=body))


# Metadata, health, repository


async def test_the_server_says_what_it_speaks(client):
    said = (await client.get("/v2")).json()
    assert said == (await client.get("/v2/")).json()
    assert said["name"] == "digits"
    assert said["extensions"] == ["binary_tensor_data", "classification", "model_repository", "parameters"]


async def test_health_is_that_of_the_service():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/models/lenet/ready")).json() == {"name": "lenet", "ready": True}
        app.service.registry.drain()
        assert (await client.get("/v2/health/live")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/lenet/ready"):
            refused(await client.get(path), 503, "the service is shutting down")


async def test_a_dead_worker_is_not_reported_alive():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        app.service.registry.resolve().batcher._die()
        for path in ("/v2/health/live", "/v2/health/ready"):
            refused(await client.get(path), 503, "the engine of a model has stopped")


@pytest.mark.parametrize("path", ["", "/versions/3", "/versions/champion"])
async def test_model_metadata_name_tensors_with_datatypes_and_shapes(client, path):
    said = (await client.get(f"/v2/models/lenet{path}")).json()
    assert said["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 784]}]
    assert [output["name"] for output in said["outputs"]] == ["probabilities", "digit", "confidence"]
    assert (said["name"], said["versions"]) == ("lenet", ["3"])


@pytest.mark.parametrize("end", ["", "/ready", "/infer"])
async def test_an_unknown_model_or_version_is_404(client, end):
    ask = client.post if end == "/infer" else client.get
    refused(await ask(f"/v2/models/resnet{end}"), 404, "model 'resnet' is not loaded; loaded: lenet, mlp")
    refused(await ask(f"/v2/models/lenet/versions/9{end}"), 404, "version '9' of lenet is not loaded; loaded: 3 (")


async def test_load_looks_at_the_store_and_the_index_says_what_there_is(shelf, keys_file):
    app = app_following(shelf, keys_file=keys_file, poll_interval_s=0)
    told = []
    app.service = replace(app.service, notify_workers=lambda: told.append(True))
    async with client_of(app) as client:
        shelf.aliases["lenet"] = {"champion": 2}
        response = await client.post("/v2/repository/models/lenet/load", json={}, headers=AUTHORIZATION)
        assert response.json() == {"name": "lenet", "load": True}
        assert told == [True]
        assert (await client.get("/v2/models/lenet")).json()["versions"] == ["2"]
        shelf.aliases["lenet"] = {"champion": 3}
        response = await client.post("/v2/repository/models/lenet/load", headers=AUTHORIZATION)
        refused(response, 409, "lenet version 3 stays out: it is torn")
        ready = {"name": "lenet", "version": "2", "state": "READY", "reason": ""}
        out = {"name": "lenet", "version": "3", "state": "UNAVAILABLE", "reason": "it is torn"}
        assert (await client.post("/v2/repository/index")).json() == [ready, out]
        assert (await client.post("/v2/repository/index", json={"ready": True})).json() == [ready]
        wrong = await client.post("/v2/repository/index", json={"ready": "yes"})
        refused(wrong, 400, 'ready is "yes" (a string), want true or false')


async def test_load_takes_neither_other_models_nor_configurations(shelf, keys_file):
    async with client_of(app_following(shelf, keys_file=keys_file, poll_interval_s=0)) as client:
        unknown = await client.post("/v2/repository/models/resnet/load", headers=AUTHORIZATION)
        refused(unknown, 404, "model 'resnet' is not loaded; loaded: lenet")
        body = {"parameters": {"config": "{}"}}
        given = await client.post("/v2/repository/models/lenet/load", json=body, headers=AUTHORIZATION)
        refused(given, 400, "parameters has config, want none: models come from the store as they are")


async def test_nothing_is_unloaded_by_request(shelf, keys_file):
    async with client_of(app_following(shelf, keys_file=keys_file, poll_interval_s=0)) as client:
        body = {"parameters": {"unload_dependents": False}}
        response = await client.post("/v2/repository/models/lenet/unload", json=body, headers=AUTHORIZATION)
        refused(response, 409, "lenet can't be unloaded by request, for what is loaded follows the store, want another")
        unknown = await client.post("/v2/repository/models/resnet/unload", headers=AUTHORIZATION)
        refused(unknown, 404, "model 'resnet' is not loaded")
        assert (await client.get("/v2/models/lenet/ready")).status_code == 200


@pytest.mark.parametrize("what", ["load", "unload"])
async def test_loading_wants_a_key(shelf, keys_file, what):
    path = f"/v2/repository/models/lenet/{what}"
    async with client_of(app_following(shelf, poll_interval_s=0)) as client:
        refused(await client.post(path, headers=AUTHORIZATION), 403, "management is closed: no file of keys is set")
    async with client_of(app_following(shelf, keys_file=keys_file, poll_interval_s=0)) as client:
        missing = await client.post(path)
        refused(missing, 401, "a management key is missing")
        assert missing.headers["www-authenticate"] == "Bearer"
        refused(await client.post(path, headers={"Authorization": "Bearer no"}), 401, "the management key is not known")


async def test_hundreds_of_requests_of_all_protocols_each_get_their_own_answer():
    """Seen elsewhere: rows of one caller returned to another."""
    predictor = FakePredictor()
    predictor.gate.clear()
    app = app_with(predictor)
    async with client_of(app) as client:

        async def ask(n):
            image = picture(n % 10, n)
            if n % 3 == 0:
                answer = (await client.post("/predict", json={"pixels": image.tolist()})).json()
                return trace_of(answer["confidence"])
            if n % 3 == 1:
                answer = (await client.post("/v1/models/lenet:predict", json={"instances": [image.tolist()]})).json()
                return trace_of(max(answer["predictions"][0]))
            wanted = {"inputs": [tensor(image[None])], "outputs": [{"name": "confidence"}]}
            return trace_of((await client.post(INFER, json=wanted)).json()["outputs"][0]["data"][0])

        answers = asyncio.gather(*map(ask, range(300)))
        batcher = app.service.registry.resolve().batcher
        await asyncio.to_thread(eventually, lambda: sum(predictor.batches) + batcher.waiting_rows == 300)
        predictor.gate.set()
        assert await answers == [*range(300)]
    assert sum(predictor.batches) == 300
    assert max(predictor.batches) == 16, "all of them share one engine"
