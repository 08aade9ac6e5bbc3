"""`POST /predict` beyond JSON: other bodies, other answers, deadlines."""

import asyncio
import gzip
import io
import json
import zlib

import numpy as np
import pytest

from tests.support.application import JSON, app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.problem import problem
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
PICTURES = np.stack([picture(digit, trace=digit * 100) for digit in (7, 2, 1)])
OCTETS = {"Content-Type": "application/octet-stream"}
NPY = {"Content-Type": "application/x-npy"}


@pytest.fixture
async def client():
    async with client_of(app_with(FakePredictor(), request_limit_rows=8, body_limit_bytes=100_000)) as client:
        yield client


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def found(response):
    assert response.status_code == 200, response.text
    return response.json()


async def asked_in_json(client):
    body = {"instances": PICTURES.reshape(-1, 784).tolist()}
    return found(await client.post("/predict", json=body))


@pytest.mark.parametrize(
    ("body", "headers", "query"),
    [
        (PICTURES.tobytes(), OCTETS, ""),
        (npy(PICTURES), NPY, ""),
        (npy(PICTURES / 255), NPY, "?scale=1"),
        (gzip.compress(PICTURES.tobytes(), mtime=0), {**OCTETS, "Content-Encoding": "gzip"}, ""),
        (zlib.compress(npy(PICTURES)), {**NPY, "Content-Encoding": "Deflate"}, ""),
        (PICTURES.tobytes(), {**OCTETS, "Content-Encoding": "identity"}, ""),
    ],
    ids=["bytes", "npy", "npy from 0 to 1", "gzip", "deflate", "identity"],
)
async def test_the_same_pictures_get_the_same_answer_in_every_form(client, body, headers, query):
    assert found(await client.post("/predict" + query, content=body, headers=headers)) == await asked_in_json(client)


async def test_a_large_compressed_body_is_inflated_too():
    pictures = np.repeat(PICTURES, 300, axis=0) ^ np.random.default_rng(0).integers(0, 2, (900, 28, 28), np.uint8)
    body = gzip.compress(pictures.tobytes(), mtime=0)
    assert len(body) > 2**16, "so that it is inflated on another thread"
    async with client_of(app_with(FakePredictor())) as client:
        answer = found(await client.post("/predict", content=body, headers={**OCTETS, "Content-Encoding": "gzip"}))
    assert len(answer["predictions"]) == 900


async def test_a_single_picture_in_npy_gets_a_single_answer(client):
    answer = found(await client.post("/predict", content=npy(PICTURES[0]), headers=NPY))
    assert answer == found(await client.post("/predict", json={"pixels": PICTURES[0].ravel().tolist()}))


async def test_an_answer_in_bytes_has_a_byte_for_each_digit_and_says_who_answered(client):
    headers = {**OCTETS, "Accept": "application/octet-stream"}
    response = await client.post("/predict", content=PICTURES.tobytes(), headers=headers)
    assert response.content == bytes([7, 2, 1])
    assert response.headers["content-type"] == "application/octet-stream"
    assert (response.headers["x-model-name"], response.headers["x-model-version"]) == ("lenet", "3")


@pytest.mark.parametrize(("pictures", "shape"), [(PICTURES, (3, 10)), (PICTURES[1], (10,))])
async def test_an_answer_in_npy_has_the_probabilities(client, pictures, shape):
    response = await client.post("/predict", content=npy(pictures), headers={**NPY, "Accept": "application/x-npy"})
    assert response.headers["content-type"] == "application/x-npy"
    answer = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert (answer.shape, answer.dtype) == (shape, np.float32)
    assert (answer.argmax(axis=-1) == pictures[..., 0, 0]).all()


@pytest.mark.parametrize("fields", ["digit", "confidence,digit", "probabilities"])
async def test_an_answer_has_only_the_fields_that_were_asked_for(client, fields):
    wanted = set(fields.split(","))
    everything = await asked_in_json(client)
    response = await client.post(f"/predict?fields={fields}", content=PICTURES.tobytes(), headers=OCTETS)
    assert found(response) == {
        "predictions": [{k: v for k, v in p.items() if k in wanted} for p in everything["predictions"]],
        "model": everything["model"],
    }


@pytest.mark.parametrize(
    ("query", "headers", "body", "status", "code", "message"),
    [
        (
            "fields=digit,odds",
            OCTETS,
            b"",
            422,
            "unknown_field",
            "query parameter fields has 'odds', want some of digit",
        ),
        ("scale=x", NPY, b"", 422, "wrong_type", "query parameter scale has 'x', want a number from 1e-300 to 1e+300"),
        ("scale=0", NPY, b"", 422, "out_of_range", "query parameter scale has '0', want a number from 1e-300 to"),
        ("scale=nan", NPY, b"", 422, "out_of_range", "query parameter scale has 'nan', want a number from 1e-300 to"),
        (
            "scale=1",
            OCTETS,
            PICTURES.tobytes(),
            422,
            "unknown_parameter",
            "query parameter scale goes with application/x-npy; with application/octet-stream, want none: bytes run",
        ),
        (
            "scale=1",
            JSON,
            b"{}",
            422,
            "unknown_parameter",
            'query parameter scale goes with application/x-npy; with application/json, want a field "scale" in',
        ),
        (
            "",
            {**OCTETS, "Accept": "text/html"},
            b"",
            406,
            "not_acceptable",
            "Accept is text/html, want application/json,",
        ),
        ("", {**OCTETS, "Content-Encoding": "gzip"}, b"\0", 400, "invalid_compression", "the body is not valid gzip: "),
        (
            "",
            {**OCTETS, "Content-Encoding": "gzip"},
            gzip.compress(bytes(100_001), mtime=0),
            413,
            "body_too_large",
            "the body inflates to more than 100000 bytes, want at most 100000",
        ),
        ("", NPY, b"[1, 2]", 400, "invalid_npy", "the body is not a .npy file: "),
        ("", OCTETS, bytes(9 * 784), 413, "too_many_pictures", "the body has 9 pictures, want at most 8 in a request"),
        (
            "",
            {**OCTETS, "X-Timeout-Ms": "soon"},
            b"",
            422,
            "wrong_type",
            "X-Timeout-Ms is 'soon', want a number of mill",
        ),
        ("", {**OCTETS, "X-Timeout-Ms": "-1"}, b"", 422, "out_of_range", "X-Timeout-Ms is '-1', want a number of mill"),
    ],
)
async def test_what_is_wrong_has_its_own_error(client, query, headers, body, status, code, message):
    response = await client.post(f"/predict?{query}", content=body, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert error["message"].startswith(message)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("settings", "headers"), [({}, {"X-Timeout-Ms": "50"}), ({"timeout_limit_ms": 50}, {})])
async def test_who_gets_no_answer_in_time_gets_504_and_frees_the_rows(settings, headers):
    predictor = FakePredictor()
    app = app_with(predictor, **settings)
    async with client_of(app) as client:
        predictor.gate.clear()
        for rows in (1, 5):  # the first one is being computed, the second one waits
            body = bytes(784 * rows)
            response = await client.post("/predict", content=body, headers={**OCTETS, **headers})
            assert response.status_code == 504
            assert response.json()["error"]["code"] == "deadline_exceeded"
        assert app.service.registry.resolve().batcher.waiting_rows == 0
        predictor.gate.set()
        response = await client.post("/predict", content=PICTURES.tobytes(), headers=OCTETS)
        assert [p["digit"] for p in found(response)["predictions"]] == [7, 2, 1]
    assert predictor.batches == [1, 3]


async def test_the_limit_holds_for_whoever_asks_for_more():
    predictor = FakePredictor()
    async with client_of(app_with(predictor, timeout_limit_ms=50)) as client:
        predictor.gate.clear()
        response = await client.post("/predict", content=bytes(784), headers={**OCTETS, "X-Timeout-Ms": "1e9"})
        assert response.status_code == 504
        predictor.gate.set()


async def test_a_full_queue_refuses_before_it_reads_the_body_and_says_when_it_will_be_empty():
    predictor = FakePredictor()
    app = app_with(predictor, queue_limit_rows=3, request_limit_rows=3)
    batcher = app.service.registry.resolve().batcher
    async with client_of(app) as client:
        await client.post("/predict", content=bytes(784), headers=OCTETS)
        predictor.gate.clear()
        held = []
        for rows, condition in ((1, lambda: len(predictor.batches) == 2), (3, lambda: batcher.waiting_rows == 3)):
            held.append(asyncio.create_task(client.post("/predict", content=bytes(784 * rows), headers=OCTETS)))
            await asyncio.to_thread(eventually, condition)
        response = await client.post("/predict", content=b"never looked at", headers=OCTETS)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert response.json()["error"]["message"] == ("3 pictures are waiting, and the limit is 3; try again later")
        predictor.gate.set()
        assert [(await task).status_code for task in held] == [200, 200]


async def test_pictures_that_have_no_room_in_the_queue_are_refused_before_they_are_read():
    """Seen under four times the load that can be sustained: most bodies were read, only to be refused."""
    predictor, read = FakePredictor(), []

    async def body(rows):
        read.append(rows)
        yield bytes(784 * rows)

    app = app_with(predictor, queue_limit_rows=4, request_limit_rows=4)
    batcher = app.service.registry.resolve().batcher
    async with client_of(app) as client:

        def ask(rows):
            headers = {**OCTETS, "Content-Length": str(784 * rows)}
            return asyncio.create_task(client.post("/predict", content=body(rows), headers=headers))

        predictor.gate.clear()
        held = [ask(1)]
        await asyncio.to_thread(eventually, lambda: len(predictor.batches) == 1)
        held.append(ask(2))
        await asyncio.to_thread(eventually, lambda: batcher.waiting_rows == 2)
        assert (await ask(3)).status_code == 503
        assert read == [1, 2]
        held.append(ask(2))
        await asyncio.to_thread(eventually, lambda: batcher.waiting_rows == 4)
        predictor.gate.set()
        assert [(await task).status_code for task in held] == [200, 200, 200]


async def test_the_documentation_names_every_kind_of_body_and_answer(client):
    document = json.loads((await client.get("/openapi.json")).content)
    post = document["paths"]["/predict"]["post"]
    kinds = ["application/json", "application/octet-stream", "application/x-npy"]
    assert [*post["requestBody"]["content"]] == [
        *kinds,
        "multipart/form-data",
        *(f"image/{kind}" for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff")),
    ]
    assert sorted(post["responses"]["200"]["content"]) == kinds


@pytest.mark.parametrize(
    ("digit", "accepted", "reason"), [(7, True, None), (8, False, "uncertain"), (9, False, "not_a_digit")]
)
async def test_an_answer_says_whether_it_can_be_acted_on(client, digit, accepted, reason):
    response = await client.post("/predict?fields=reason,accepted", content=picture(digit).tobytes(), headers=OCTETS)
    assert found(response)["predictions"] == [{"accepted": accepted, "reason": reason}]


async def test_a_version_that_cannot_say_accepts_nothing():
    class Old(FakePredictor):
        def read(self, columns):
            return super().read(columns)._replace(judged=False)

        def prediction_sets(self, probabilities, coverage):
            return None

    async with client_of(app_with(Old())) as client:
        response = await client.post("/predict?coverage=0.95", content=picture(7).tobytes(), headers=OCTETS)
    (answer,) = found(response)["predictions"]
    assert (answer["digit"], answer["accepted"], answer["reason"], answer["prediction_set"]) == (7, None, None, None)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("coverage=0.95", 0.95),
        ("fields=prediction_set", 0.99),
        ("fields=digit&coverage=0.9", 0.9),
        ("fields=digit", None),
    ],
)
async def test_a_prediction_set_has_the_coverage_that_was_asked_for(query, wanted):
    asked = []

    class Asked(FakePredictor):
        def prediction_sets(self, probabilities, coverage):
            asked.append(coverage)
            return np.tile(np.arange(10) % 7 == 1, (len(probabilities), 1))

    async with client_of(app_with(Asked())) as client:
        response = await client.post(f"/predict?{query}", content=picture(7).tobytes() * 2, headers=OCTETS)
    assert [p.get("prediction_set") for p in found(response)["predictions"]] == [[1, 8] if wanted else None] * 2
    assert asked == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("coverage", "code"),
    [("0.89", "out_of_range"), ("1", "out_of_range"), ("nan", "out_of_range"), ("most", "wrong_type")],
)
async def test_a_coverage_that_makes_no_sense_is_refused(client, coverage, code):
    response = await client.post(f"/predict?coverage={coverage}", content=picture(7).tobytes(), headers=OCTETS)
    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["code"], error["field"], error["found"]) == (code, "coverage", coverage)
    assert error["message"] == f"query parameter coverage has {coverage!r}, want a number from 0.9 to below 1"


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-npy"])
async def test_a_coverage_is_refused_where_the_answer_has_no_room_for_sets(client, kind):
    """It was left out of such answers without a word."""
    headers = {**OCTETS, "Accept": kind}
    response = await client.post("/predict?coverage=0.95", content=picture(7).tobytes(), headers=headers)
    message = f"query parameter coverage goes with answers in application/json; with {kind}, want none: it has no "
    problem(response, 422, "unknown_parameter", message + "prediction_set", "coverage")
    response = await client.post("/predict", content=picture(7).tobytes(), headers=headers)
    assert response.status_code == 200
