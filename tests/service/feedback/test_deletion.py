"""`DELETE /feedback/{id}`: who sent a correction takes it back, and the last correction of a picture counts."""

import hashlib

import httpx
import pytest

from tests.support.application import app_with
from tests.support.fake_predictor import FakePredictor
from tests.support.feedback import PIXELS, WHOLE, client_with, kept, problem
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio
KEY = {"Idempotency-Key": "4f1c7d0e"}
OWN = "want the id of a correction, with the Idempotency-Key or the API key that it was sent with"


async def test_of_two_corrections_of_one_picture_the_last_one_is_kept(url):
    async with client_with(url) as client:
        asked = await client.post("/predict", json={"pixels": PIXELS})
        prediction = asked.headers["X-Prediction-Id"]
        for digit in (9, 4):
            response = await client.post("/feedback", json={"prediction": prediction, "digit": digit})
            assert response.status_code == 201
        assert [c.digit for c in kept(url)] == [4]
        again = await client.post("/feedback", json={"pixels": PIXELS, "digit": 7})
    assert [(c.id, c.digit) for c in kept(url)] == [(again.json()["id"], 7)]


async def test_whoever_knows_its_idempotency_key_deletes_a_correction(url):
    async with client_with(url) as client:
        number = (await client.post("/feedback", json=WHOLE, headers=KEY)).json()["id"]
        response = await client.delete(f"/feedback/{number}", headers=KEY)
        assert (response.status_code, response.json()) == (200, {"id": number, "deleted": True})
        assert kept(url) == []
        again = await client.delete(f"/feedback/{number}", headers=KEY)
        assert problem(again, 404, "unknown_correction") == (
            f"there is no correction {number}, or it was sent with another key, {OWN}"
        )


async def test_nobody_else_does_and_is_not_told_whether_there_is_one(file):
    async with client_with(file) as client:
        number = (await client.post("/feedback", json=WHOLE, headers=KEY)).json()["id"]
        for headers in ({}, {"Idempotency-Key": "another"}, {"Authorization": "Bearer made-up"}):
            found = await client.delete(f"/feedback/{number}", headers=headers)
            nothing = await client.delete(f"/feedback/{number + 1}", headers=headers)
            messages = [problem(response, 404, "unknown_correction") for response in (found, nothing)]
            assert messages[0].replace(str(number), "#") == messages[1].replace(str(number + 1), "#")
    assert len(kept(file)) == 1


async def test_an_api_key_deletes_what_was_sent_with_it_from_any_address_and_an_address_alone_nothing(file, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(
        "".join(f"{name} predict {hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("shop", "bank"))
    )
    app = app_with(FakePredictor(), feedback_url=file, keys_file=keys)

    async def ask(method, path, address, key=None, **options):
        transport = httpx.ASGITransport(app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return await client.request(method, path, headers=headers, **options)

    async with app.router.lifespan_context(app):
        for sender, status in (("shop", 200), (None, 404)):
            sent = await ask("POST", "/feedback", "192.0.2.1", sender, json=WHOLE)
            path = f"/feedback/{sent.json()['id']}"
            assert (await ask("DELETE", path, "192.0.2.1", "bank")).status_code == 404
            assert (
                await ask("DELETE", path, "192.0.2.1" if sender is None else "192.0.2.9", sender)
            ).status_code == status


async def test_a_management_key_deletes_any(file, keys_file):
    async with client_with(file, keys_file=keys_file) as client:
        number = (await client.post("/feedback", json=WHOLE)).json()["id"]
        assert (await client.delete(f"/feedback/{number}")).status_code == 404
        assert (await client.delete(f"/feedback/{number}", headers=AUTHORIZATION)).status_code == 200
    assert kept(file) == []


@pytest.mark.parametrize("number", ["0", "-1", "seven", "9223372036854775808", "9" * 50, "%C2%B2"])
async def test_an_id_that_is_none_is_told(file, number):
    async with client_with(file) as client:
        message = problem(await client.delete(f"/feedback/{number}"), 422, "wrong_type")
    assert message.endswith(", want a whole number from 1 to 9223372036854775807")


async def test_guesses_count_as_corrections_do(file):
    async with client_with(file, feedback_limit_per_minute=3) as client:
        statuses = [(await client.delete("/feedback/1", headers=KEY)).status_code for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


async def test_where_no_corrections_are_taken_none_is_deleted():
    async with client_with("") as client:
        problem(await client.delete("/feedback/1", headers=KEY), 404, "feedback_off")
