"""Errors keep no memory: nothing of a refused request waits for the garbage collector."""

import gc
import io
import json
import time
import types

import numpy as np
import pytest
from PIL import Image

from tests.support.application import app_with, served
from tests.support.connections import GOOD, answers, connected, flat
from tests.support.fake_predictor import FakePredictor
from tests.support.pictures import BLACK, encoded


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tensor(**changes):
    return json.dumps(
        {"inputs": [{"name": "pixels", "shape": [1, 784], "datatype": "UINT8", "data": flat(7), **changes}]}
    )


WRONG_PIXEL = json.dumps({"pixels": [256, *flat(7)[1:]]}).encode()
POISON, SLOW = (json.dumps({"instances": [flat(digit)] * 2}).encode() for digit in (6, 5))
JSON, PNG, JPEG, NPY = "application/json", "image/png", "image/jpeg", "application/x-npy"
REFUSED = {
    "a blank picture": ("/predict", PNG, encoded(Image.new("L", (64, 64), 255)), 422),
    "a blank photo": ("/predict", JPEG, encoded(Image.new("L", (64, 64), 255), "JPEG"), 422),
    "a picture cut short": ("/predict", PNG, encoded(BLACK)[:-50], 400),
    "no picture": ("/predict", PNG, b"no picture", 400),
    "an array out of range": ("/predict", NPY, npy(np.full((3, 784), 256.0)), 422),
    "an array of another shape": ("/predict", NPY, npy(np.zeros((3, 783))), 422),
    "a wrong pixel": ("/predict", JSON, WRONG_PIXEL, 422),
    "JSON cut short": ("/predict", JSON, GOOD[:-1], 400),
    "a wrong pixel in a large body": ("/predict", JSON, WRONG_PIXEL + b" " * 2**18, 422),
    "octets of another length": ("/predict", "application/octet-stream", bytes(783), 422),
    "an unknown media type": ("/predict", "text/plain", b"7", 415),
    "a deadline that has passed": ("/predict", JSON + "\r\nX-Timeout-Ms: 0.0001", GOOD, 504),
    "a deadline that passes": ("/predict", JSON + "\r\nX-Timeout-Ms: 100", SLOW, 504),
    "a failing model": ("/predict", JSON, POISON, 500),
    "a wrong row of /v1": ("/v1/models/lenet:predict", JSON, b'{"instances": [[1, 2]]}', 400),
    "a wrong tensor of /v2": ("/v2/models/lenet/infer", JSON, tensor(shape=[1, 783]).encode(), 400),
    "a wrong value of /v2": ("/v2/models/lenet/infer", JSON, tensor(data=[256] * 784).encode(), 400),
    "a wrong digit": ("/feedback", JSON, GOOD[:-1] + b', "digit": 10}', 422),
    "an unknown path": ("/nothing", JSON, GOOD, 404),
}


class Slow(FakePredictor):
    """Fails for a six, and takes its time for a five."""

    def __init__(self):
        super().__init__()
        self.poison = 6

    def __call__(self, images):
        if (images[:, 0, 0] == 5).any():
            time.sleep(0.3)
        return super().__call__(images)


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('feedback')}/feedback.sqlite3"
    with served(app_with(Slow(), feedback_url=url)) as address, connected(address) as connection:
        yield connection


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_of_a_refused_request_is_left_to_the_garbage_collector(connection, name):
    """100 blank pictures of 3 KB once kept 410 MB."""
    path, content_type, body, wanted = REFUSED[name]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"

    def refused():
        connection.sendall(head.encode() + body)
        ((status, _),) = answers(connection, 1)
        assert status == wanted

    refused()  # what is imported or started with the first one stays
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            refused()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [
            thing for thing in gc.garbage if isinstance(thing, types.TracebackType | BaseException | types.FrameType)
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []
