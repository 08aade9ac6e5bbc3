"""`GET /feedback`: a client with a key pages through all corrections; without a key it is refused."""

import pytest

from tests.support.fake_predictor import picture
from tests.support.feedback import WHOLE, client_with, problem
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio
IDS = "a whole number from 0 to 9223372036854775807"


async def test_who_has_a_key_pages_through_all_of_them(url, keys_file):
    async with client_with(url, keys_file=keys_file) as client:
        several = [WHOLE | {"pixels": picture(7, n).ravel().tolist()} for n in range(5)]
        ids = [(await client.post("/feedback", json=each)).json()["id"] for each in several]
        found, after = [], 0
        while after is not None:
            page = (await client.get(f"/feedback?after={after}&limit=2", headers=AUTHORIZATION)).json()
            found.append(page["corrections"])
            after = page["next"]
    assert [[c["id"] for c in page] for page in found] == [ids[:2], ids[2:4], ids[4:]]
    first = found[0][0]
    assert list(first) == ["id", "received", "client_key", "model", "version", "predicted", "digit", "pixels"]
    assert {name: first[name] for name in WHOLE} == several[0]
    assert first["client_key"] is None
    assert first["received"].endswith("+00:00")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "missing_key"), ({"Authorization": "Bearer of bad news"}, 401, "wrong_key")],
)
async def test_nobody_else_reads_them(file, keys_file, headers, status, code):
    async with client_with(file, keys_file=keys_file) as client:
        problem(await client.get("/feedback", headers=headers), status, code)


async def test_without_a_file_of_keys_nobody_reads_them(file):
    async with client_with(file) as client:
        problem(await client.get("/feedback"), 403, "management_closed")


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=0", "out_of_range", "query parameter limit has '0', want a whole number from 1 to 500"),
        ("limit=501", "out_of_range", "query parameter limit has '501', want a whole number from 1 to 500"),
        ("limit=ten", "wrong_type", "query parameter limit has 'ten', want a whole number from 1 to 500"),
        ("after=-1", "wrong_type", f"query parameter after has '-1', want {IDS}"),
        (
            "after=" + "9" * 5000,
            "out_of_range",
            f"query parameter after has '{'9' * 39}…', want {IDS}",
        ),
        ("after=", "empty_parameter", f"query parameter after is empty, want {IDS}"),
        ("after=1&after=1", "repeated_parameter", "query parameter after is given twice, want it once"),
        ("page=1", "unknown_parameter", "query parameter 'page' is not known here, want one of after, limit"),
    ],
)  # fmt: skip
async def test_a_page_that_cannot_be_is_refused(file, keys_file, query, code, message):
    async with client_with(file, keys_file=keys_file) as client:
        assert problem(await client.get(f"/feedback?{query}", headers=AUTHORIZATION), 422, code) == message


async def test_the_last_id_that_there_can_be_is_no_error(url, keys_file):
    async with client_with(url, keys_file=keys_file) as client:
        response = await client.get(f"/feedback?after={2**63 - 1}", headers=AUTHORIZATION)
    assert response.json() == {"corrections": [], "next": None}
