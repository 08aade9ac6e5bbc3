"""`/manage/reload` and verbose readiness: loading new versions and reporting those that fail."""

import asyncio
from dataclasses import replace

import pytest

from tests.support.application import app_following, client_of
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio


async def test_reload_brings_what_is_new_and_says_what_is_loaded(shelf, keys_file):
    app = app_following(shelf, keys_file=keys_file, poll_interval_s=0)
    told = []
    app.service = replace(app.service, notify_workers=lambda: told.append(True))
    async with client_of(app) as client:
        shelf.aliases["lenet"] = {"champion": 2, "previous": 1}
        response = await client.post("/manage/reload", headers=AUTHORIZATION)
        assert response.status_code == 200
        assert response.json() == (await client.get("/models")).json()
        assert response.json()["models"] == [{"name": "lenet", "version": 2, "aliases": ["champion"], "default": True}]
        assert told == [True]


async def test_reload_of_a_version_that_fails_is_409_with_the_reason_and_the_running_one_goes_on(shelf, keys_file):
    async with client_of(app_following(shelf, keys_file=keys_file, poll_interval_s=0)) as client:
        shelf.aliases["lenet"] = {"champion": 3}
        response = await client.post("/manage/reload", headers=AUTHORIZATION)
        assert response.status_code == 409
        error = response.json()["error"]
        assert (error["code"], error["message"]) == ("version_refused", "lenet version 3 stays out: it is torn")
        assert (await client.get("/models")).json()["models"][0]["version"] == 1
        assert (await client.get("/readyz")).json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/manage/reload", "/v2/repository/models/lenet/load"])
async def test_a_store_that_hangs_is_503_and_the_running_version_goes_on(shelf, keys_file, path):
    """Whoever asked to reload waited for ever."""
    settings = {"keys_file": keys_file, "poll_interval_s": 0, "load_timeout_s": 0.1}
    async with client_of(app_following(shelf, **settings)) as client:
        shelf.gate.clear()
        for _ in range(3):
            response = await client.post(path, headers=AUTHORIZATION)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert "the store has not answered in 0.1 s" in response.text
        assert shelf.waiting == 1
        assert (await client.get("/models")).json()["models"][0]["version"] == 1
        shelf.gate.set()
        async with asyncio.timeout(5):
            while (await client.post(path, headers=AUTHORIZATION)).status_code != 200:
                await asyncio.sleep(0.01)


async def test_verbose_readiness_says_what_is_loaded_and_why_something_is_not(shelf, keys_file):
    async with client_of(app_following(shelf, keys_file=keys_file, poll_interval_s=0)) as client:
        shelf.aliases["lenet"] = {"champion": 3}
        await client.post("/manage/reload", headers=AUTHORIZATION)
        assert (await client.get("/readyz?verbose")).json() == {
            "status": "ready",
            "models": [{"name": "lenet", "version": 1, "aliases": ["champion"], "default": True}],
            "refused": [{"name": "lenet", "version": 3, "reason": "it is torn", "times": 1}],
        }
        assert (
            'digits_version_staying_out{model="lenet",reason="ValueError",version="3"} 1.0'
            in (await client.get("/metrics")).text
        )
