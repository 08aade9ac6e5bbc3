"""The application over ASGI with fake predictors: answers, error answers, limits, health and model listings."""

import asyncio
import json
import logging
from dataclasses import replace

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.models.registry import ModelRegistry
from service.settings import ServiceSettings
from service.state import make_state
from tests.support.application import JSON, app_with, client_of
from tests.support.fake_predictor import CARD, FakePredictor, picture, trace_of
from tests.support.problem import problem
from tests.support.shelf import Shelf

pytestmark = pytest.mark.anyio
TYPES = (
    "application/json, application/octet-stream, application/x-npy, image/png, image/jpeg, image/webp, image/gif, "
    "image/bmp, image/tiff or multipart/form-data"
)


def flat(digit, trace=0):
    return picture(digit, trace).ravel().tolist()


# Answers


async def test_one_picture_gets_one_answer():
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post("/predict", json={"pixels": flat(7, 40_000)})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert list(answer) == ["digit", "confidence", "probabilities", "accepted", "reason", "model"]
    assert answer["digit"] == 7
    assert trace_of(answer["confidence"]) == 40_000
    assert len(answer["probabilities"]) == 10
    assert answer["probabilities"][7] == answer["confidence"] == max(answer["probabilities"])
    assert answer["model"] == {"name": "lenet", "version": 3}


async def test_a_list_of_pictures_gets_a_list_of_answers_in_its_order():
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post("/predict", json={"instances": [flat(n % 8, n) for n in range(50)]})
    answer = response.json()
    assert list(answer) == ["predictions", "model"]
    assert [p["digit"] for p in answer["predictions"]] == [n % 8 for n in range(50)]
    assert [trace_of(p["confidence"]) for p in answer["predictions"]] == [*range(50)]
    assert answer["model"] == {"name": "lenet", "version": 3}


async def test_a_list_of_one_picture_gets_a_list_of_one_answer():
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post("/predict", json={"instances": [flat(7)]})
    assert [p["digit"] for p in response.json()["predictions"]] == [7]


async def test_probabilities_are_written_as_the_32_bit_numbers_they_are():
    class Thirds(FakePredictor):
        def __call__(self, images):
            return np.tile(np.array([1 / 3, 2 / 3] + [0] * 8, np.float32), (len(images), 1))

    async with client_of(app_with(Thirds())) as client:
        response = await client.post("/predict", json={"pixels": flat(1)})
    assert b'"confidence":0.6666667,"probabilities":[0.33333334,0.6666667,0.0' in response.content


async def test_hundreds_of_concurrent_requests_each_get_their_own_answer():
    predictor = FakePredictor()
    async with client_of(app_with(predictor)) as client:

        async def ask(n):
            size = (1, 1, 2, 5, 30)[n % 5]
            traces = [100 * n + i for i in range(size)]
            response = await client.post("/predict", json={"instances": [flat(t % 10, t) for t in traces]})
            assert [trace_of(p["confidence"]) for p in response.json()["predictions"]] == traces
            assert [p["digit"] for p in response.json()["predictions"]] == [t % 10 for t in traces]

        await asyncio.gather(*(ask(n) for n in range(300)))
    assert max(predictor.batches) == 16


@pytest.mark.parametrize(
    "query", ["", "?model=lenet", "?version=3", "?version=champion", "?version=stable&model=lenet"]
)
async def test_model_and_version_choose(query):
    async with client_of(app_with(FakePredictor(), FakePredictor("mlp", 1))) as client:
        response = await client.post(f"/predict{query}", json={"pixels": flat(1)})
    assert response.json()["model"] == {"name": "lenet", "version": 3}


async def test_a_version_of_another_model_can_be_asked():
    async with client_of(app_with(FakePredictor(), FakePredictor("mlp", 12))) as client:
        response = await client.post("/predict?model=mlp&version=12", json={"pixels": flat(1)})
    assert response.json()["model"] == {"name": "mlp", "version": 12}


# Errors


@pytest.mark.parametrize(
    ("query", "status", "code", "message", "field"),
    [
        ("model=resnet", 404, "unknown_model", "model 'resnet' is not loaded; loaded: lenet", "model"),
        (
            "version=9",
            404,
            "unknown_version",
            "version '9' of lenet is not loaded; loaded: 3 (champion, stable)",
            "version",
        ),
        (
            "version=previous",
            404,
            "unknown_version",
            "version 'previous' is version 2 of lenet, which is not loaded; loaded: 3 (champion, stable)",
            "version",
        ),
        (
            "version=03",
            404,
            "unknown_version",
            "version '03' of lenet is not loaded; loaded: 3 (champion, stable)",
            "version",
        ),
        (
            "version=",
            422,
            "empty_parameter",
            "query parameter version is empty, want a number or an alias such as champion",
            "version",
        ),
        ("model", 422, "empty_parameter", "query parameter model is empty, want the name of a model", "model"),
        (
            "modle=mlp",
            422,
            "unknown_parameter",
            "query parameter 'modle' is not known here, want one of model, version, fields, coverage, scale, ink, read",
            "modle",
        ),
        (
            "version=3&version=2",
            422,
            "repeated_parameter",
            "query parameter version is given twice, want it once",
            "version",
        ),
    ],
)
async def test_a_wrong_query_has_its_own_error(query, status, code, message, field):
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post(f"/predict?{query}", json={"pixels": flat(1)})
    problem(response, status, code, message, field)


@pytest.mark.parametrize(
    ("headers", "code", "message", "field"),
    [
        (
            {},
            "unsupported_media_type",
            f"Content-Type is missing, want {TYPES}; with curl: -H 'Content-Type: application/json'",
            "Content-Type",
        ),
        (
            {"Content-Type": "application/x-www-form-urlencoded"},
            "unsupported_media_type",
            f"Content-Type is application/x-www-form-urlencoded, want {TYPES}; with curl: -H 'Content-Type: "
            "application/json'",
            "Content-Type",
        ),
        (
            {"Content-Type": "text/plain;charset=UTF-8"},  # what fetch says of a text
            "unsupported_media_type",
            f'Content-Type is text/plain, want {TYPES}; with fetch: headers: {{"Content-Type": "application/json"}}',
            "Content-Type",
        ),
        (
            {"Content-Type": "text/csv; header=present"},
            "unsupported_media_type",
            f"Content-Type is text/csv, want {TYPES}",
            "Content-Type",
        ),
        *(
            (
                {"Content-Type": f"image/{kind}"},
                "unsupported_media_type",
                f"Content-Type is image/{kind}, want {TYPES}; save it as JPEG or PNG",
                "Content-Type",
            )
            for kind in ("heic", "heif", "avif", "svg+xml")
        ),
        (
            {"Content-Type": "application/json; charset=latin-1"},
            "unsupported_charset",
            "Content-Type says charset=latin-1, want application/json in UTF-8",
            "Content-Type",
        ),
        (
            {**JSON, "Content-Encoding": "br"},
            "unsupported_encoding",
            "Content-Encoding is br, want gzip, deflate, or the body as it is",
            "Content-Encoding",
        ),
    ],
)
async def test_an_unknown_media_type_has_its_own_error(headers, code, message, field):
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post("/predict", content=json.dumps({"pixels": flat(1)}), headers=headers)
    problem(response, 415, code, message, field)


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON;charset=utf-8", 'application/json; charset="UTF-8"']
)
async def test_json_may_be_spelt_as_the_standards_allow(media_type):
    async with client_of(app_with(FakePredictor())) as client:
        body = json.dumps({"pixels": flat(1)})
        response = await client.post("/predict", content=body, headers={"Content-Type": media_type})
    assert response.status_code == 200


async def test_malformed_json_is_400_and_a_wrong_value_422():
    async with client_of(app_with(FakePredictor())) as client:
        malformed = await client.post("/predict", content=b'{"pixels": [-]}', headers=JSON)
        wrong = await client.post("/predict", json={"instances": [flat(1), flat(2)[1:]]})
    problem(
        malformed,
        400,
        "invalid_json",
        "the body is not valid JSON: no digit after sign at line 1, column 14",
    )
    message = "instances[1] has 783 pixels, want 784 (28 x 28, row by row)"
    error = problem(wrong, 422, "wrong_length", message, "instances[1]")
    assert (error["found"], error["wanted"]) == ("783 pixels", "784 (28 x 28, row by row)")


async def test_one_bad_request_does_not_harm_its_neighbours():
    async with client_of(app_with(FakePredictor())) as client:
        bodies = [{"pixels": flat(n % 10, n)} if n % 3 else {"pixels": flat(n)[1:]} for n in range(1, 60)]
        responses = await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))
    for n, response in enumerate(responses, 1):
        if n % 3:
            assert trace_of(response.json()["confidence"]) == n
        else:
            assert response.status_code == 422


async def test_more_pictures_than_allowed_are_413():
    async with client_of(app_with(FakePredictor(), request_limit_rows=4)) as client:
        response = await client.post("/predict", json={"instances": [flat(1)] * 5})
        exact = await client.post("/predict", json={"instances": [flat(1)] * 4})
    assert exact.status_code == 200
    message = "instances has 5 pictures, want at most 4 in a request"
    problem(response, 413, "too_many_pictures", message, "instances")


async def test_a_long_body_is_refused_by_its_announced_length():
    body = json.dumps({"pixels": flat(1)})
    async with client_of(app_with(FakePredictor(), body_limit_bytes=len(body))) as client:
        exact = await client.post("/predict", content=body, headers=JSON)
        response = await client.post("/predict", content=body + " ", headers=JSON)
    assert exact.status_code == 200
    problem(response, 413, "body_too_large", f"the body has {len(body) + 1} bytes, want at most {len(body)}")


async def test_a_long_body_without_a_length_is_refused_as_it_arrives():
    read = []

    async def endless():
        while True:
            read.append(1000)
            yield b" " * 1000

    async with client_of(app_with(FakePredictor(), body_limit_bytes=10_000)) as client:
        response = await client.post("/predict", content=endless(), headers=JSON)
    problem(response, 413, "body_too_large", "the body has more than 10000 bytes, want at most 10000")
    assert sum(read) == 11_000


@pytest.mark.parametrize("path", ["/page/nothing.js", "/predict/", "/models/lenet", "/static-offline-docs/nothing.js"])
async def test_an_unknown_path_is_404(path):
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.get(path)
    message = f"there is nothing at {path}; /docs describes what there is"
    problem(response, 404, "not_found", message, "path")


async def test_a_wrong_method_is_405_and_says_which_is_right():
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.get("/predict")
    problem(response, 405, "method_not_allowed", "GET is not possible at /predict, want POST", "method")
    assert response.headers["allow"] == "POST"


async def test_a_full_queue_is_503_and_says_when_to_come_back():
    predictor = FakePredictor()
    app = app_with(predictor, queue_limit_rows=4, request_limit_rows=4)
    async with client_of(app) as client:
        predictor.gate.clear()
        computing = asyncio.create_task(client.post("/predict", json={"pixels": flat(1)}))
        while not predictor.batches:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(client.post("/predict", json={"instances": [flat(2)] * 3}))
        while app.service.registry.resolve().batcher.waiting_rows != 3:
            await asyncio.sleep(0.001)
        response = await client.post("/predict", json={"instances": [flat(3)] * 2})
        message = "3 pictures are waiting, and the limit is 4; try again later"
        problem(response, 503, "queue_full", message)
        assert response.headers["retry-after"] == "1"
        predictor.gate.set()
        assert (await computing).status_code == (await waiting).status_code == 200


async def test_a_failing_model_is_500_without_a_stack_trace(caplog):
    """Seen elsewhere: a failed batch answered with 200."""
    predictor = FakePredictor()
    predictor.poison = 6
    async with client_of(app_with(predictor)) as client:
        with caplog.at_level(logging.ERROR):
            bad, good = await asyncio.gather(
                client.post("/predict", json={"pixels": flat(6)}), client.post("/predict", json={"pixels": flat(5)})
            )
    message = "the model failed on this request; the log of the service says how"
    problem(bad, 500, "prediction_failed", message)
    assert good.json()["digit"] == 5
    assert "ValueError: poison: 6" in caplog.text


async def test_a_model_that_answers_nan_is_500_and_never_invalid_json(caplog):
    """Seen elsewhere: NaN written as invalid JSON."""
    predictor = FakePredictor()
    predictor.nan = 6
    async with client_of(app_with(predictor)) as client:
        with caplog.at_level(logging.ERROR):
            response = await client.post("/predict", json={"instances": [flat(5), flat(6)]})
    message = "the model's answer made no sense; the log of the service says how"
    problem(response, 500, "prediction_failed", message)
    assert "lenet version 3 answered with probabilities that are not finite" in caplog.text


async def test_an_unexpected_failure_is_500_without_a_stack_trace(monkeypatch):
    def fail(*_, **__):
        raise KeyError("secret")

    monkeypatch.setattr("service.routes.predict.encode_json", fail)
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.post("/predict", json={"pixels": flat(1)})
    problem(response, 500, "internal_error", "the service failed on this request; its log says how")


# Health and life


async def test_healthy_and_ready():
    async with client_of(app_with(FakePredictor())) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_draining_fails_readiness_first_and_still_answers():
    app = app_with(FakePredictor())
    async with client_of(app) as client:
        app.service.registry.drain()
        problem(await client.get("/readyz"), 503, "draining", "the service is shutting down")
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/predict", json={"pixels": flat(7)})).json()["digit"] == 7
        await app.service.registry.close()
        response = await client.post("/predict", json={"pixels": flat(7)})
        problem(response, 503, "draining", "the service is shutting down")


async def test_a_dead_engine_fails_liveness(caplog):
    """Seen elsewhere: a dead worker reported healthy."""

    class Dies(FakePredictor):
        def __call__(self, images):
            raise SystemExit

    async with client_of(app_with(Dies())) as client:
        with caplog.at_level(logging.CRITICAL):
            response = await client.post("/predict", json={"pixels": flat(7)})
        message = "the engine of a model has stopped"
        for answer in (response, await client.get("/healthz"), await client.get("/readyz")):
            problem(answer, 503, "engine_stopped", message)


async def test_before_anything_is_loaded_it_is_alive_and_not_ready():
    app = app_with(FakePredictor())
    await app.service.registry.close()
    app.service = replace(app.service, registry=ModelRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/healthz")).status_code == 200
        problem(await client.get("/readyz"), 503, "loading", "the service is loading its model")
        response = await client.post("/predict", json={"pixels": flat(7)})
        problem(response, 503, "loading", "the service is loading its model")


async def test_the_application_loads_what_the_settings_name_off_the_event_loop(monkeypatch):
    seen = []

    class OffTheLoop(Shelf):
        def load(self, model, version):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            seen.append(model)
            return super().load(model, version)

    def loader(settings, metrics):
        return OffTheLoop({settings.model: {1: FakePredictor(settings.model, 1)}}, metrics)

    monkeypatch.setattr("service.state.Loader", loader)
    async with client_of(create_app(make_state(ServiceSettings(model="mlp")))) as client:
        answer = await client.post("/predict", json={"pixels": flat(7)})
        assert answer.json()["model"] == {"name": "mlp", "version": 1}
    assert seen == ["mlp"]


# Models


async def test_models_says_what_is_loaded():
    async with client_of(app_with(FakePredictor(), FakePredictor("mlp", 1))) as client:
        response = await client.get("/models")
    assert response.json() == {
        "models": [
            {"name": "lenet", "version": 3, "aliases": ["champion", "stable"], "default": True},
            {"name": "mlp", "version": 1, "aliases": ["champion"], "default": False},
        ]
    }


@pytest.mark.parametrize("version", ["3", "champion"])
async def test_the_card_of_a_version_can_be_read(version):
    async with client_of(app_with(FakePredictor())) as client:
        response = await client.get(f"/models/lenet/versions/{version}")
    assert response.json() == {"name": "lenet", "version": 3, "aliases": ["champion", "stable"], "card": CARD}


async def test_the_card_of_what_is_not_loaded_is_404():
    async with client_of(app_with(FakePredictor())) as client:
        model = await client.get("/models/mlp/versions/1")
        version = await client.get("/models/lenet/versions/2")
    problem(model, 404, "unknown_model", "model 'mlp' is not loaded; loaded: lenet", "model")
    message = "version '2' of lenet is not loaded; loaded: 3 (champion, stable)"
    problem(version, 404, "unknown_version", message, "version")
