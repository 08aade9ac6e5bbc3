"""Forms (multipart/form-data) sent to `/predict`: one file answers as its bytes would, several as a batch."""

import pytest
from PIL import Image

from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor
from tests.support.pictures import BLACK, GIF, JPEG, PNG, encoded, large, written
from tests.support.problem import problem
from training.picture import prepare

pytestmark = pytest.mark.anyio
SEVEN = encoded(BLACK)
OTHER = encoded(large(row=1, ink="black"), "JPEG")
FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF; save it as JPEG or PNG"


def files(*contents):
    """As httpx, and most other clients, send files: with a name, and the Content-Type that the name suggests."""
    return [("file", (f"{i}.bin", content)) for i, content in enumerate(contents)]


async def test_one_file_is_answered_as_the_same_bytes_are():
    async with client_of(app_with(FakePredictor())) as client:
        plain = await client.post("/predict?fields=digit,pixels", content=SEVEN, headers={"Content-Type": PNG})
        for sent in (
            files(SEVEN),
            {"picture": ("seven.png", SEVEN)},
            {"anything": ("seven", SEVEN, "")},
            {"x": ("seven.png", SEVEN, "image/png")},
        ):
            response = await client.post("/predict?fields=digit,pixels", files=sent)
            assert response.status_code == 200, response.text
            assert response.json() == plain.json()
        prediction = response.headers["X-Prediction-Id"]
        recent = client._transport.app.service.recent
        assert recent.find(prediction).pixels == prepare(BLACK).tobytes()


async def test_several_files_are_answered_as_a_batch_in_their_order():
    async with client_of(app_with(FakePredictor())) as client:
        single = [
            (await client.post("/predict?fields=pixels", content=content, headers={"Content-Type": kind})).json()
            for content, kind in ((SEVEN, PNG), (OTHER, JPEG))
        ]
        response = await client.post("/predict?fields=digit,pixels", files=files(SEVEN, OTHER, SEVEN))
        answer = response.json()
        assert [each["pixels"] for each in answer["predictions"]] == [single[i]["pixels"] for i in (0, 1, 0)]
        assert answer["model"] == single[0]["model"]
        recent = client._transport.app.service.recent
        prediction = response.headers["X-Prediction-Id"]
        assert list(recent.find(prediction, 1).pixels) == single[1]["pixels"]
        octets = await client.post(
            "/predict", files=files(SEVEN, OTHER), headers={"Accept": "application/octet-stream"}
        )
        assert len(octets.content) == 2


async def test_of_several_files_those_with_several_digits_say_how_many():
    two = encoded(written(1, 2))
    async with client_of(app_with(FakePredictor())) as client:
        answer = (await client.post("/predict", files=files(SEVEN, two))).json()
        assert "digits_seen" not in answer["predictions"][0]
        assert answer["predictions"][1]["digits_seen"] == 2
        assert answer["predictions"][1]["reason"] == "several_digits"
        line = (await client.post("/predict?read=line", files=files(two))).json()
        assert len(line["text"]) == 2
        message = "query parameter read is line and the form has 2 files, want one file for a line"
        found = await client.post("/predict?read=line", files=files(two, two))
        problem(found, 422, "conflicting_fields", message, "read")


async def test_errors_of_files_are_those_of_image_bodies_with_the_name_of_the_file():
    async with client_of(app_with(FakePredictor(), picture_limit_pixels=100_000, request_limit_rows=3)) as client:

        async def ask(content, kind=None, name="x.png"):
            return await client.post("/predict", files=[*files(SEVEN), ("y", (name, content, kind))])

        wanted = "want a PNG picture"
        problem(await ask(b"", PNG), 400, "empty_body", f"x.png: the body is empty, {wanted}", "y")
        torn = "x.png: the body is not a readable PNG picture: it ends before its end"
        found = await ask(SEVEN[:-50], PNG)
        assert (found.status_code, found.json()["error"]["code"]) == (400, "invalid_picture"), torn
        assert found.json()["error"]["message"].startswith("x.png: the body is not a readable PNG picture")
        found = await ask(encoded(large(times=20)), PNG)
        message = "x.png: the picture has 590 x 590 pixels, want at most 100000 pixels"
        problem(found, 413, "picture_too_large", message, "y")
        found = await ask(encoded(Image.new("L", (9, 9))))
        assert (found.status_code, found.json()["error"]["code"]) == (422, "no_ink")
        message = "x.png: Content-Type is image/png and the body is image/gif, want a PNG picture"
        problem(await ask(encoded(BLACK, "GIF"), PNG), 415, "mismatched_media_type", message, "y")
        for content, kind, what in (
            (b"hello", None, "text/plain"),
            (b"hello", "application/octet-stream", "of no known kind"),
            (b"%PDF-1.7", "application/octet-stream", "application/pdf"),
            (b"....ftypheic", "image/heic", "image/heic"),
        ):
            message = f"x.txt: the file is {what}, want one of {FORMATS}"
            problem(await ask(content, kind, "x.txt"), 415, "unsupported_media_type", message, "y")
        found = await client.post("/predict", files=files(*[SEVEN] * 4))
        problem(found, 413, "too_many_pictures", "the form has 4 files, want at most 3")
        found = await client.post("/predict", files=files(SEVEN), data={"model": "lenet"})
        assert found.json()["error"]["field"] == "model"
        assert found.status_code == 422
        found = await client.post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"})
        assert (found.status_code, found.json()["error"]["code"]) == (400, "invalid_form")


async def test_parameters_go_with_files_as_with_image_bodies():
    async with client_of(app_with(FakePredictor())) as client:
        message = "query parameter scale goes with application/x-npy; with multipart/form-data, want none"
        problem(await client.post("/predict?scale=1", files=files(SEVEN)), 422, "unknown_parameter", message, "scale")
        answer = await client.post("/predict?ink=black&coverage=0.9", files=files(encoded(BLACK, "GIF")))
        assert "prediction_set" in answer.json()


@pytest.mark.parametrize("said", ["text/plain", "application/x-photo", "binary/octet-stream"])
async def test_a_type_that_is_no_picture_s_is_not_believed_of_a_picture(said):
    """Clients guess it by the name of the file: `the file is text/plain, …; save it as JPEG or PNG` was said of PNG."""
    async with client_of(app_with(FakePredictor())) as client:
        answer = await client.post("/predict", files=[("file", ("seven", SEVEN, said))])
    assert answer.status_code == 200, answer.text


async def test_a_form_counts_as_one_body_against_its_limit():
    async with client_of(app_with(FakePredictor(), body_limit_bytes=2 * len(SEVEN))) as client:
        assert (await client.post("/predict", files=files(SEVEN))).status_code == 200
        found = await client.post("/predict", files=files(SEVEN, SEVEN))
        assert (found.status_code, found.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(("alias", "form"), [("image/jpg", "JPEG"), ("image/x-ms-bmp", "BMP"), (GIF, "GIF")])
async def test_names_that_clients_give_to_media_types_are_understood(alias, form):
    body = encoded(BLACK, form)
    async with client_of(app_with(FakePredictor())) as client:
        for response in (
            await client.post("/predict", content=body, headers={"Content-Type": alias}),
            await client.post("/predict", files={"x": ("x", body, alias)}),
        ):
            assert response.status_code == 200, response.text
