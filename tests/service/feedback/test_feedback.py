"""`/feedback`: what is kept, once for each key, of pictures and of predictions by their ids."""

import asyncio

import httpx
import pytest

from tests.support.fake_predictor import picture
from tests.support.feedback import PIXELS, WHOLE, client_with, kept, problem
from tests.support.service_process import running

pytestmark = pytest.mark.anyio


async def test_a_picture_with_its_digit_is_kept(url):
    async with client_with(url) as client:
        response = await client.post("/feedback", json=WHOLE, headers={"Idempotency-Key": "k"})
    (correction,) = kept(url)
    assert response.status_code == 201
    assert response.json() == {"id": correction.id, "new": True}
    assert (correction.digit, correction.pixels) == (7, bytes(PIXELS))
    assert (correction.client_key, correction.model, correction.version, correction.predicted) == ("k", "lenet", 3, 1)


async def test_of_a_picture_only_the_digit_has_to_be_told(file):
    async with client_with(file) as client:
        nested = [[n / 4 for n in range(28)]] * 28
        assert (await client.post("/feedback", json={"pixels": nested, "scale": 27, "digit": 0})).status_code == 201
    (correction,) = kept(file)
    assert correction.pixels == bytes(round(n / 4 * 255 / 27) for n in range(28)) * 28
    assert (correction.client_key, correction.model, correction.version, correction.predicted) == (None,) * 4


async def test_a_prediction_is_corrected_by_its_id(url):
    async with client_with(url) as client:
        body = b"".join(picture(digit, 500 + digit).tobytes() for digit in (4, 1, 9))
        asked = await client.post("/predict", content=body, headers={"Content-Type": "application/octet-stream"})
        number = asked.headers["X-Prediction-Id"]
        for content in ({"digit": 0}, {"index": 1, "digit": 7}, {"index": 2.0, "digit": 5}):
            assert (await client.post("/feedback", json={"prediction": number} | content)).status_code == 201
    assert [(c.digit, c.predicted, c.pixels, c.model, c.version) for c in kept(url)] == [
        (right, digit, picture(digit, 500 + digit).tobytes(), "lenet", 3) for right, digit in ((0, 4), (7, 1), (5, 9))
    ]


@pytest.mark.parametrize("accept", ["application/json", "application/octet-stream", "application/x-npy"])
async def test_every_kind_of_answer_has_an_id_of_its_own(accept):
    async with client_with("") as client:
        answers = [await client.post("/predict", json={"pixels": PIXELS}, headers={"Accept": accept}) for _ in "ab"]
    first, second = (answer.headers["X-Prediction-Id"] for answer in answers)
    assert first != second


async def test_answers_have_no_id_when_nothing_is_remembered():
    async with client_with("", recent_predictions=0) as client:
        assert "X-Prediction-Id" not in (await client.post("/predict", json={"pixels": PIXELS})).headers


async def test_the_same_correction_sent_again_is_known(url):
    async with client_with(url) as client:
        first, again = [await client.post("/feedback", json=WHOLE, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {"id": first.json()["id"], "new": False}


async def test_another_correction_with_the_same_key_is_refused(url):
    async with client_with(url) as client:
        number = (await client.post("/feedback", json=WHOLE, headers={"Idempotency-Key": "k"})).json()["id"]
        response = await client.post("/feedback", json=WHOLE | {"digit": 8}, headers={"Idempotency-Key": "k"})
    assert problem(response, 409, "key_reused") == (
        f"key 'k' came with another correction before, which has the id {number} and differs in digit; "
        "want a new key for a new correction"
    )


async def test_hundreds_at_once_with_few_keys_keep_one_correction_for_each_key(url):
    """More than may wait are refused with 503; who tries again gets the one id of the key."""

    async def post(client, n):
        body = {"pixels": picture(7, n % 7).ravel().tolist(), "digit": n % 7}
        while (r := await client.post("/feedback", json=body, headers={"Idempotency-Key": f"{n % 7}"})).is_error:
            assert problem(r, 503, "feedback_busy") == (
                "64 requests wait for the database of corrections, and that is the limit; try again later"
            )
            await asyncio.sleep(0)
        return n % 7, r.json()["id"], r.status_code

    async with client_with(url, feedback_limit_per_minute=0) as client:
        found = await asyncio.wait_for(asyncio.gather(*(post(client, n) for n in range(300))), 60)
    assert len({(key, number) for key, number, _ in found}) == len({number for _, number, _ in found}) == 7
    assert [status for _, _, status in found].count(201) == 7
    assert [c.digit for c in sorted(kept(url), key=lambda c: c.digit)] == [*range(7)]


@pytest.mark.slow
def test_any_worker_finds_what_another_one_predicted(trained_store, tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.sqlite3"
    with running(trained_store, DIGITS_FEEDBACK_URL=url) as (process, address):
        pictures = [picture(7, n) for n in range(8)]
        asked = [httpx.post(f"{address}/predict", json={"pixels": each.ravel().tolist()}) for each in pictures]
        numbers = [answer.headers["X-Prediction-Id"] for answer in asked]
        assert {number.partition("-")[0] for number in numbers} == {"0", "1"}  # connections are dealt out in turn
        for number in numbers:
            # one connection for each: connections are dealt out, so both workers get ids of both
            for _ in range(2):
                response = httpx.post(f"{address}/feedback", json={"prediction": number, "digit": 7}, timeout=20)
                assert response.status_code == 201, response.text
        process.terminate()  # a killed one would leave its folder behind
        process.communicate(timeout=60)
    assert {c.pixels for c in kept(url)} == {each.tobytes() for each in pictures}
    assert len(kept(url)) == 8, "the second correction of a picture replaces the first one"
