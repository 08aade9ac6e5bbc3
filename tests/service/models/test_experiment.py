"""Experiments: a challenger as a canary that answers a share of requests, or in shadow, where it is only compared."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from service.models.canary import Canary
from service.models.loaded_version import LoadedVersion
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from tests.support.application import app_following, client_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.shelf import Shelf

pytestmark = pytest.mark.anyio
SEVEN = {"pixels": picture(7).ravel().tolist()}


@asynccontextmanager
async def trying(challenger=None, **settings):
    """A client of a service with champion 1 and challenger 2, and the challenger's predictor."""
    challenger = challenger or FakePredictor(version=2)
    shelf = Shelf({"lenet": {1: FakePredictor(version=1), 2: challenger}})
    shelf.policy = "champion,challenger"
    shelf.aliases["lenet"] = {"champion": 1, "challenger": 2}
    app = app_following(shelf, poll_interval_s=0, **settings)
    async with client_of(app) as client:
        client.shelf, client.app = shelf, app
        yield client


async def versions(client, requests, headers=None, query=""):
    """Which versions answered so many requests; every one of them was answered rightly."""
    counts = Counter()
    for _ in range(requests):
        response = await client.post(f"/predict{query}", json=SEVEN, headers=headers)
        assert (response.status_code, response.json()["digit"]) == (200, 7)
        counts[response.json()["model"]["version"]] += 1
    return counts


async def metric(client, name):
    text = (await client.get("/metrics")).text
    return float(
        next(line for line in text.splitlines() if line.startswith(name + '{model="lenet",version="2"}')).split()[1]
    )


async def test_a_canary_answers_other_protocols_too_where_they_name_no_version():
    tensor = {"name": "pixels", "shape": [1, 784], "datatype": "UINT8", "data": SEVEN["pixels"]}
    rows = {"instances": [SEVEN["pixels"]]}
    async with trying(canary_share=1.0) as client:
        for of, version in (("", "2"), ("/versions/1", "1")):
            answer = (await client.post(f"/v2/models/lenet{of}/infer", json={"inputs": [tensor]})).json()
            assert answer["model_version"] == version
            response = await client.post(f"/v1/models/lenet{of}:predict", json=rows)
            assert response.headers["x-model-version"] == version


async def test_a_canary_answers_about_its_share_and_every_answer_names_its_version():
    async with trying(canary_share=0.3) as client:
        counts = await versions(client, 400)
    assert 80 < counts[2] < 160, counts
    assert counts[1] + counts[2] == 400


@pytest.mark.parametrize(("share", "by"), [(0.0, 1), (1.0, 2)])
async def test_nobody_and_everybody_are_shares_too(share, by):
    async with trying(canary_share=share, shadow_share=0.5) as client:
        assert await versions(client, 30) == {by: 30}


async def test_a_client_that_says_who_it_is_always_gets_the_same_version():
    async with trying(canary_share=0.5) as client:
        seen = {who: set(await versions(client, 4, {"x-client-id": who})) for who in map(str, range(40))}
    assert all(len(of) == 1 for of in seen.values())
    assert 8 < sum(of == {2} for of in seen.values()) < 32


async def test_whoever_names_a_version_gets_it():
    async with trying(canary_share=1.0) as client:
        assert await versions(client, 5, query="?version=champion") == {1: 5}
        assert await versions(client, 5, query="?version=1") == {1: 5}


@pytest.mark.parametrize("failure", ["poison", "nan"])
async def test_a_canary_that_fails_harms_nobody_and_is_taken_out(failure):
    broken = FakePredictor(version=2)
    setattr(broken, failure, 7)
    async with trying(broken, canary_share=1.0) as client:
        assert await versions(client, 20) == {1: 20}, "the champion answers in its place"
        assert sum(broken.batches) == 5, "and after five failures it is not even asked"
        (taken_out,) = (await client.get("/readyz?verbose")).json()["taken_out"]
        reason = "5 of its last 5 requests failed, want 4 of 200 at most"
        assert taken_out == {"name": "lenet", "version": 2, "reason": reason}
        assert await metric(client, "digits_canary_out") == 1
        assert await metric(client, "digits_failed_requests_total") == 5


async def test_clients_that_hang_up_or_want_the_answer_at_once_are_not_the_fault_of_a_canary():
    slow = FakePredictor(version=2)
    slow.gate.clear()
    async with trying(slow, canary_share=1.0, canary_latency_limit_ms=10_000) as client:
        asked = [asyncio.create_task(client.post("/predict", json=SEVEN)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert await outcomes(client, 20, timeout_ms=1) == {"deadline_exceeded"}
        assert (await client.get("/readyz?verbose")).json()["taken_out"] == []
        slow.gate.set()


async def test_a_canary_that_misses_long_deadlines_is_too_slow_and_taken_out():
    slow = FakePredictor(version=2)
    slow.gate.clear()
    async with trying(slow, canary_share=1.0, canary_latency_limit_ms=5) as client:
        assert await outcomes(client, 11, timeout_ms=20) == {"deadline_exceeded"}
        assert len((await client.get("/readyz?verbose")).json()["taken_out"]) == 1
        assert await versions(client, 3) == {1: 3}
        slow.gate.set()


async def outcomes(client, requests, timeout_ms):
    """The codes of errors that so many requests got."""
    headers = {"X-Timeout-Ms": str(timeout_ms)}
    answers = [await client.post("/predict", json=SEVEN, headers=headers) for _ in range(requests)]
    return {answer.json()["error"]["code"] for answer in answers}


async def test_another_challenger_gets_a_trial_of_its_own():
    broken = FakePredictor(version=2)
    broken.poison = 7
    async with trying(broken, canary_share=1.0) as client:
        await versions(client, 10)
        client.shelf.on_it["lenet"][3] = FakePredictor(version=3)
        client.shelf.aliases["lenet"]["challenger"] = 3
        await client.app.service.watcher.sync()
        assert await versions(client, 10) == {3: 10}


def canary_with(**settings):
    version = LoadedVersion.start(FakePredictor(version=2), Metrics(), queue_limit_rows=8)
    return Canary(version, ServiceSettings(canary_share=1.0, **settings))


def noted(canary, requests, *, failures=0, slow=0):
    """The canary after requests of which the last ones went badly."""
    for left in range(requests, 0, -1):
        canary.note(failed=left <= failures, seconds=0.4 if left <= slow else 0.01)
    return canary


async def test_few_failures_and_few_slow_answers_are_not_the_end_of_a_trial():
    assert noted(canary_with(), 4, failures=4).taken_out is None
    assert noted(canary_with(), 200, slow=10).taken_out is None


async def test_failures_of_long_ago_are_forgotten():
    canary = noted(canary_with(), 4, failures=4)
    assert noted(noted(canary, 200), 4, failures=4).taken_out is None
    assert noted(canary, 1, failures=1).taken_out == "5 of its last 200 requests failed, want 4 of 200 at most"


async def test_a_canary_that_takes_too_long_is_taken_out():
    canary = noted(canary_with(), 60, slow=11)
    assert canary.taken_out == "11 of its last 60 requests took longer than 250 ms, want 10 of 200 at most"
    assert not canary.selects(None)


async def test_the_shadow_compares_and_its_answers_are_never_returned():
    class Contrary(FakePredictor):
        def __call__(self, images):
            return super().__call__(images)[:, ::-1].copy()

    async with trying(Contrary(version=2), shadow_share=1.0) as client:
        for _ in range(5):
            assert await versions(client, 1) == {1: 1}
            await client.app.service.experiment._shadow._comparing
        assert await metric(client, "digits_compared_pictures_total") == 5
        assert await metric(client, "digits_differing_pictures_total") == 5


async def test_the_shadow_is_dropped_while_it_is_busy_and_delays_nobody():
    slow = FakePredictor(version=2)
    slow.gate.clear()
    async with trying(slow, shadow_share=1.0) as client:
        async with asyncio.timeout(5):
            assert await versions(client, 20) == {1: 20}
        assert await metric(client, "digits_shadow_dropped_requests_total") == 19
        slow.gate.set()


async def test_the_shadow_is_dropped_while_requests_wait():
    async with trying(shadow_share=1.0) as client:
        registry = client.app.service.registry
        registry.resolve().predictor.gate.clear()
        held = [asyncio.create_task(client.post("/predict", json=SEVEN))]
        async with asyncio.timeout(5):
            while not registry.resolve().predictor.batches:
                await asyncio.sleep(0.001)
            held.append(asyncio.create_task(client.post("/predict", json=SEVEN)))
            while registry.resolve().batcher.waiting_rows != 1:
                await asyncio.sleep(0.001)
        client.app.service.experiment._shadow.copy(
            registry.resolve(), registry.model("lenet").challenger, picture(1)[None], None
        )
        assert await metric(client, "digits_shadow_dropped_requests_total") == 1
        registry.resolve().predictor.gate.set()
        await asyncio.gather(*held)


async def test_a_challenger_that_fails_in_the_shadow_is_counted_and_nobody_notices():
    broken = FakePredictor(version=2)
    broken.poison = 7
    async with trying(broken, shadow_share=1.0) as client:
        assert await versions(client, 1) == {1: 1}
        if comparing := client.app.service.experiment._shadow._comparing:
            await comparing
        assert await metric(client, "digits_failed_requests_total") == 1


async def test_a_comparison_that_hangs_delays_the_end_only_so_long(monkeypatch):
    monkeypatch.setattr("service.models.shadow.CLOSE_TIMEOUT_S", 0.1)
    slow = FakePredictor(version=2)
    slow.gate.clear()
    async with trying(slow, shadow_share=1.0) as client:
        assert await versions(client, 1) == {1: 1}
        async with asyncio.timeout(5):
            await client.app.service.experiment.close()
        assert client.app.service.experiment._shadow._comparing
        slow.gate.set()
