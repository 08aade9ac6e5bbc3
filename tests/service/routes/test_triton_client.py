"""`tritonclient[http]`, unchanged, against the service over a real socket. It runs in an environment of its own."""

import json
import subprocess

import pytest

from tests.support.application import app_with, served
from tests.support.fake_predictor import FakePredictor
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def found(protocols):
    """What the client got."""
    with served(app_with(FakePredictor(), FakePredictor("mlp", 1))) as (host, port):
        command = [protocols, "tests/conformance/triton_client.py", f"{host}:{port}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_finds_the_service_alive_and_ready(found):
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, False])


def test_it_gets_metadata_and_the_index(found):
    assert found["server"]["name"] == "digits"
    assert found["model"]["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 784]}]
    assert found["version"] == ["3"]
    assert [entry["name"] for entry in found["index"]] == ["lenet", "mlp"]


@pytest.mark.parametrize("how", ["json", "binary", "json_fp32", "binary_fp32", "binary_fp16"])
def test_it_infers_and_reads_the_answer_as_arrays(found, how):
    assert found[how] == [how, [7, 2, 1], "float32", [3, 10]]


def test_it_chooses_outputs_and_states_the_scale(found):
    assert found["only"] == [[7, 2, 1], True]
    assert found["scale"] == [7, 2, 1]


def test_it_gets_classes_in_json_and_in_binary(found):
    assert found["classes_False"] == found["classes_True"] == ["0.500000:7", "0.500000:2", "0.500000:1"]


def test_it_compresses_requests(found):
    assert found["gzip"] == found["deflate"] == [7, 2, 1]


def test_it_infers_asynchronously_and_each_answer_is_that_of_its_request(found):
    assert found["asynchronous"] == [[(7, 2, 1)[i % 3]] for i in range(30)]


def test_it_raises_errors_with_the_texts_of_the_service(found):
    unknown, shape, version, closed, config = found["errors"]
    assert unknown == "404 model 'resnet' is not loaded; loaded: lenet, mlp"
    assert shape.startswith("400 inputs[0].shape is [3, 783], want [n, 784]")
    assert version.startswith("404 version '9' of lenet is not loaded")
    assert closed == "403 management is closed: no file of keys is set (DIGITS_KEYS_FILE)"
    assert config == "404 there is nothing at /v2/models/lenet/config; /docs describes what there is"
