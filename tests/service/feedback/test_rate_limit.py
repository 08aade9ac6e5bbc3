"""The limit of corrections of a client: what counts as one client, when more are taken, and bounded memory."""

import hashlib

import httpx
import pytest

from service.errors import TooManyCorrections
from service.feedback import rate_limit as module
from service.feedback.rate_limit import RateLimit, client_of_address
from tests.support.application import app_with
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.feedback import WHOLE, client_with, kept, predicts

pytestmark = pytest.mark.anyio


class Clock:
    """Time stands still until somebody lets it pass."""

    now_s = 1000.0

    def __call__(self):
        return self.now_s


def taken(limit, client, tries):
    """How many of so many corrections are taken."""
    count = 0
    for _ in range(tries):
        try:
            limit.take(client)
        except TooManyCorrections:
            continue
        count += 1
    return count


def test_a_client_may_send_so_many_at_once_and_then_evenly():
    clock = Clock()
    limit = RateLimit(120, clock_s=clock)
    assert taken(limit, "a", 200) == 120
    with pytest.raises(TooManyCorrections) as caught:
        limit.take("a")
    assert (caught.value.retry_after_s, str(caught.value)) == (
        1,
        "there are too many corrections from this client, want at most 120 in a minute; try again in 1 s",
    )
    assert taken(limit, "b", 5) == 5  # others are not held up
    clock.now_s += 1
    assert taken(limit, "a", 10) == 2  # one in half a second
    clock.now_s += 3600
    assert taken(limit, "a", 200) == 120


@pytest.mark.parametrize("per_minute", [1, 3, 7, 60, 1000])
def test_after_the_time_that_it_is_told_a_client_is_heard_again(per_minute):
    clock = Clock()
    limit = RateLimit(per_minute, clock_s=clock)
    assert taken(limit, "a", 2 * per_minute) == per_minute
    for _ in range(5):
        with pytest.raises(TooManyCorrections) as caught:
            limit.take("a")
        clock.now_s += caught.value.retry_after_s
        limit.take("a")
        taken(limit, "a", 2 * per_minute)


def test_clients_beyond_the_table_s_size_are_forgotten_the_quiet_ones_first(monkeypatch):
    monkeypatch.setattr(module, "LIMIT_CLIENTS", 100)
    clock = Clock()
    limit = RateLimit(1, clock_s=clock)
    for number in range(1000):
        clock.now_s += 0.001
        assert taken(limit, str(number), 1) == 1
        assert taken(limit, "busy", 1) == (number == 0)
    assert len(limit) == 100
    assert taken(limit, "999", 1) == 0
    assert taken(limit, "1", 1) == 1


def test_without_a_limit_nothing_is_remembered():
    limit = RateLimit(0)
    assert taken(limit, "a", 1000) == 1000
    assert len(limit) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),  # a client chooses the last 64 bits
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        (None, "", True),
        ("a socket", "another socket", False),
    ],
)
def test_clients_are_told_apart_by_address(one, other, same):
    assert (client_of_address(one) == client_of_address(other)) is same


async def test_too_many_corrections_are_429_with_the_time_to_wait_and_none_is_kept(file):
    async with client_with(file, feedback_limit_per_minute=2) as client:
        several = [WHOLE | {"pixels": picture(7, n).ravel().tolist()} for n in range(2)]
        statuses = [(await client.post("/feedback", json=each)).status_code for each in several]
        refused = await client.post("/feedback", json=WHOLE)
        assert (statuses, refused.status_code) == ([201, 201], 429)
        assert refused.json()["error"] == {
            "code": "too_many_corrections",
            "message": "there are too many corrections from this client, want at most 2 in a minute; try again in 30 s",
            "field": None,
            "found": None,
            "wanted": "at most 2 in a minute",
        }
        assert refused.headers["Retry-After"] == "30"
        assert await predicts(client)
        assert 'digits_refused_requests_total{code="too_many_corrections"} 1.0' in (await client.get("/metrics")).text
    assert len(kept(file)) == 2


async def test_wrong_corrections_count_as_well():
    """Or somebody could guess ids without end."""
    async with client_with("sqlite:////nowhere/f.sqlite3", feedback_limit_per_minute=3) as client:
        guess = {"prediction": "0-1-" + "0" * 32, "digit": 1}
        statuses = [(await client.post("/feedback", json=guess)).status_code for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


async def test_a_client_is_the_owner_of_its_key_or_else_its_address(file, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(
        "".join(f"{name} predict {hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("shop", "bank"))
    )
    app = app_with(FakePredictor(), feedback_url=file, keys_file=keys, feedback_limit_per_minute=1)

    async def status(address, key=None):
        transport = httpx.ASGITransport(app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return (await client.post("/feedback", json=WHOLE, headers=headers)).status_code

    async with app.router.lifespan_context(app):
        assert await status("192.0.2.1", "shop") == 201
        assert await status("192.0.2.2", "shop") == 429
        assert await status("192.0.2.1", "bank") == 201
        assert await status("192.0.2.1") == 201
        assert await status("192.0.2.1", "made up") == 429
        assert await status("192.0.2.3", "made up") == 201
