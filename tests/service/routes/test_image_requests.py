"""Image files sent to `/predict`: answers, recent predictions, refusals, and the pool that decodes them."""

import pytest
from PIL import Image

from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor
from tests.support.pictures import BLACK, PNG, TRAIN, encoded, large, written
from tests.support.problem import problem
from training.picture import prepare

BLACK_PNG = encoded(BLACK)


@pytest.mark.anyio
async def test_a_picture_is_answered_shown_and_remembered():
    predictor = FakePredictor()
    async with client_of(app_with(predictor)) as client:
        answer = await client.post(
            "/predict?fields=digit,pixels", content=encoded(BLACK), headers={"Content-Type": PNG}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["pixels"] == prepare(BLACK).ravel().tolist()
        prediction = answer.headers["X-Prediction-Id"]
        recent = client._transport.app.service.recent
        assert recent.find(prediction).pixels == prepare(BLACK).tobytes()


@pytest.mark.anyio
async def test_pixels_come_with_every_kind_of_body_that_is_answered_in_json():
    pictures = TRAIN.images[:2]
    async with client_of(app_with(FakePredictor())) as client:
        headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
        answer = await client.post("/predict?fields=pixels", content=pictures.tobytes(), headers=headers)
        assert [p["pixels"] for p in answer.json()["predictions"]] == pictures.reshape(2, 784).tolist()
        answer = await client.post("/predict", json={"pixels": pictures[0].ravel().tolist()})
        assert "pixels" not in answer.json()


@pytest.mark.anyio
async def test_ink_goes_with_pictures_and_scale_does_not():
    async with client_of(app_with(FakePredictor())) as client:

        async def ask(query, media_type=PNG, body=BLACK_PNG):
            return await client.post(f"/predict?{query}", content=body, headers={"Content-Type": media_type})

        black = await ask("fields=pixels&ink=black")
        assert black.json()["pixels"] == prepare(BLACK).ravel().tolist()
        white = await ask("fields=pixels&ink=white")
        assert white.status_code == 422 or white.json()["pixels"] != black.json()["pixels"]
        wanted = "black or white"
        message = f"query parameter ink has 'blue', want {wanted}"
        problem(await ask("ink=blue"), 422, "wrong_type", message, "ink")
        message = "query parameter scale goes with application/x-npy; with image/png, want none"
        problem(await ask("scale=1"), 422, "unknown_parameter", message, "scale")
        message = "query parameter ink goes with image files; with application/octet-stream, want none: 0 is background"
        found = await ask("ink=black", "application/octet-stream", bytes(784))
        problem(found, 422, "unknown_parameter", message, "ink")


@pytest.mark.anyio
async def test_errors_of_pictures_have_their_status():
    async with client_of(app_with(FakePredictor(), picture_limit_pixels=100_000)) as client:
        for body, status, code in (
            (encoded(BLACK)[:-50], 400, "invalid_picture"),
            (encoded(large(times=20)), 413, "picture_too_large"),
            (encoded(Image.new("L", (9, 9))), 422, "no_ink"),
            (encoded(BLACK, "JPEG"), 415, "mismatched_media_type"),
        ):
            answer = await client.post("/predict", content=body, headers={"Content-Type": PNG})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.anyio
async def test_a_picture_of_two_digits_is_not_accepted_and_is_read_as_a_line_when_asked():
    two = encoded(written(1, 2))
    async with client_of(app_with(FakePredictor())) as client:
        answer = (await client.post("/predict", content=two, headers={"Content-Type": PNG})).json()
        assert (answer["accepted"], answer["reason"], answer["digits_seen"]) == (False, "several_digits", 2)
        response = await client.post("/predict?read=line", content=two, headers={"Content-Type": PNG})
        line = response.json()
        assert line["text"] == "".join(str(one["digit"]) for one in line["predictions"])
        left, right = (one["box"] for one in line["predictions"])
        assert left["left"] + left["width"] < right["left"]
        assert line["model"] == answer["model"]
        recent = client._transport.app.service.recent
        assert recent.find(response.headers["X-Prediction-Id"]).pixels
        octets = await client.post(
            "/predict?read=line", content=two, headers={"Content-Type": PNG, "Accept": "application/octet-stream"}
        )
        assert len(octets.content) == 2


@pytest.mark.anyio
async def test_one_digit_read_as_a_line_is_a_line_of_one():
    async with client_of(app_with(FakePredictor())) as client:
        one = await client.post("/predict?read=line&fields=digit", content=BLACK_PNG, headers={"Content-Type": PNG})
        assert [[*each] for each in one.json()["predictions"]] == [["digit", "box"]]
        plain = (await client.post("/predict", content=BLACK_PNG, headers={"Content-Type": PNG})).json()
        assert "digits_seen" not in plain


@pytest.mark.anyio
async def test_what_is_read_goes_with_pictures_and_is_a_digit_or_a_line():
    async with client_of(app_with(FakePredictor())) as client:
        found = await client.post("/predict?read=word", content=BLACK_PNG, headers={"Content-Type": PNG})
        problem(found, 422, "wrong_type", "query parameter read has 'word', want digit or line", "read")
        message = (
            "query parameter read goes with image files; with application/json, want none: each picture is one digit"
        )
        problem(await client.post("/predict?read=line", json={}), 422, "unknown_parameter", message, "read")
