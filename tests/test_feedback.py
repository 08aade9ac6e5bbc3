"""`/feedback`: what is kept, what is refused and how, and that predictions never notice."""

import asyncio
import datetime
import json
import logging
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx
import jsonschema_rs
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.feedback import Feedback
from service.schemas import FEEDBACK_ERRORS
from service.settings import ServiceSettings
from tests.service_fakes import FakePredictor, app_with, client_of, eventually, picture
from tests.test_keys import made
from tests.test_workers import running
from training import database
from training.corrections import Corrections

pytestmark = pytest.mark.anyio
PIXELS = picture(7, 300).ravel().tolist()
NAME = "a model's name: lower-case letters, digits, - and _, at most 64"
IDS = "a whole number from 0 to 9223372036854775807"
WHOLE = {"pixels": PIXELS, "digit": 7, "model": "lenet", "version": 3, "predicted": 1}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/feedback.sqlite3"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def file(tmp_path):
    return f"sqlite:///{tmp_path}/feedback.sqlite3"


@asynccontextmanager
async def client_with(url, **options):
    async with client_of(app_with(FakePredictor(), feedback_url=url, **options)) as client:
        yield client


def kept(url):
    corrections = Corrections(url)
    corrections.prepare()
    try:
        return corrections.all()
    finally:
        corrections.close()


def problem(response, status, code):
    """The message of a response that is this error, in the one shape that errors have."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert code in FEEDBACK_ERRORS[status][1]  # documented
    assert ("Retry-After" in response.headers) == (status == 503)
    return error["message"]


# What is kept


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
        body = {"pixels": PIXELS, "digit": n % 7}
        while (r := await client.post("/feedback", json=body, headers={"Idempotency-Key": f"{n % 7}"})).is_error:
            assert problem(r, 503, "feedback_busy") == (
                "64 requests wait for the database of corrections, and that is the limit; try again later"
            )
            await asyncio.sleep(0)
        return n % 7, r.json()["id"], r.status_code

    async with client_with(url) as client:
        found = await asyncio.wait_for(asyncio.gather(*(post(client, n) for n in range(300))), 60)
    assert len({(key, number) for key, number, _ in found}) == len({number for _, number, _ in found}) == 7
    assert [status for _, _, status in found].count(201) == 7
    assert [c.digit for c in sorted(kept(url), key=lambda c: c.digit)] == [*range(7)]


# What is refused


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"digit": None}, "wrong_type", "digit is null, want a whole number from 0 to 9"),
        ({"digit": "7"}, "wrong_type", 'digit is "7" (a string), want a whole number from 0 to 9'),
        ({"digit": True}, "wrong_type", "digit is true (a boolean), want a whole number from 0 to 9"),
        ({"digit": 10}, "out_of_range", "digit is 10, want a whole number from 0 to 9"),
        ({"digit": 7.5}, "out_of_range", "digit is 7.5, want a whole number from 0 to 9"),
        ({"digit": float("nan")}, "out_of_range", "digit is NaN, want a whole number from 0 to 9"),
        ({"version": 0}, "out_of_range", "version is 0, want a whole number from 1 to 2147483647"),
        ({"predicted": -1}, "out_of_range", "predicted is -1, want a whole number from 0 to 9"),
        ({"model": 3}, "wrong_type", f"model is 3, want {NAME}"),
        (
            {"model": "a\0b"},
            "invalid_name",
            f'model is "a\\u0000b" (a string), want {NAME}',
        ),
        ({"pixels": PIXELS[1:]}, "wrong_length", "pixels has 783 pixels, want 784 (28 x 28, row by row)"),
        ({"pixels": [256, *PIXELS[1:]]}, "out_of_range", "pixels[0] is 256, want a number from 0 to 255"),
        ({"pixels": [True, *PIXELS[1:]]}, "wrong_type", "pixels[0] is true (a boolean), want a number from 0 to 255"),
        ({"scale": "1"}, "wrong_type", 'scale is "1" (a string), want a number, the value that means full ink'),
        (
            {"note": "an ugly seven"},
            "unknown_field",
            '"note" is not known here, want "digit", and "pixels" with "scale", "model", "version", "predicted", '
            'or "prediction" with "index"',
        ),
        (
            {"prediction": "0-1-0123456789abcdef"},
            "conflicting_fields",
            'the body has both "pixels" and "prediction", want one of them: '
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            {"index": 0},
            "conflicting_fields",
            'the body has both "pixels" and "index", want "digit", and "pixels" with "scale", "model", "version", '
            '"predicted", or "prediction" with "index"',
        ),
    ],
)  # fmt: skip
async def test_a_body_that_is_wrong_is_refused_with_what_was_found_and_what_is_wanted(file, change, code, message):
    async with client_with(file) as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post("/feedback", content=json.dumps(WHOLE | change), headers=headers)
    assert problem(response, 422, code) == message
    assert kept(file) == []


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (
            {"pixels": PIXELS},
            422,
            "missing_field",
            'the body has no "digit", want {"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            {"digit": 7},
            422,
            "missing_field",
            'the body has neither "pixels" nor "prediction", want one of them: '
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        ({"digit": 7, "prediction": 5}, 422, "wrong_type", "prediction is 5, want the id of a prediction, a string"),
        (
            {"digit": 7, "prediction": "0-1-0123456789abcdef", "index": -1},
            422,
            "out_of_range",
            "index is -1, want a whole number from 0 to 2147483647",
        ),
        (
            {"digit": 7, "prediction": "0-1-0123456789abcdef"},
            404,
            "unknown_prediction",
            "prediction '0-1-0123456789abcdef' is not known, or not any more; the picture itself can be sent as pixels",
        ),
        (
            [7],
            422,
            "wrong_type",
            "the body is a list of 1, want an object: "
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
    ],
)
async def test_a_body_that_lacks_something_is_refused(file, body, status, code, message):
    async with client_with(file) as client:
        assert problem(await client.post("/feedback", json=body), status, code) == message


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"", "'' (0 characters)"),
        (b"two words", "'two words' (9 characters)"),
        (b"k\xe9y", "'kéy' (3 characters)"),
        (b"k" * 201, f"'{'k' * 39}…' (201 characters)"),
    ],
)
async def test_a_key_that_is_none_is_refused(file, key, found):
    async with client_with(file) as client:
        response = await client.post("/feedback", json=WHOLE, headers={"Idempotency-Key": key})
    assert problem(response, 422, "invalid_key") == (
        f"Idempotency-Key is {found}, want 1 to 200 visible characters of ASCII"
    )


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "message"),
    [
        (
            b"x",
            {"Content-Type": "application/octet-stream"},
            415,
            "unsupported_media_type",
            "Content-Type is application/octet-stream, want application/json",
        ),
        (
            b"",
            {"Content-Type": "application/json"},
            400,
            "empty_body",
            'the body is empty, want {"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            b" " * 10_001,
            {"Content-Type": "application/json"},
            413,
            "body_too_large",
            "the body has 10001 bytes, want at most 10000",
        ),
    ],
)
async def test_a_body_of_another_kind_is_refused(file, content, headers, status, code, message):
    async with client_with(file, body_limit_bytes=10_000) as client:
        assert problem(await client.post("/feedback", content=content, headers=headers), status, code) == message


# Who reads them


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A file of keys, and the headers that open with it."""
    secret, line = made("anna")
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(line)
    return path, {"Authorization": f"Bearer {secret}"}


async def test_who_has_a_key_pages_through_all_of_them(url, key):
    path, headers = key
    async with client_with(url, keys_file=path) as client:
        ids = [(await client.post("/feedback", json=WHOLE)).json()["id"] for _ in range(5)]
        found, after = [], 0
        while after is not None:
            page = (await client.get(f"/feedback?after={after}&limit=2", headers=headers)).json()
            found.append(page["corrections"])
            after = page["next"]
    assert [[c["id"] for c in page] for page in found] == [ids[:2], ids[2:4], ids[4:]]
    first = found[0][0]
    assert list(first) == ["id", "received", "client_key", "model", "version", "predicted", "digit", "pixels"]
    assert {name: first[name] for name in WHOLE} == WHOLE
    assert first["client_key"] is None
    assert first["received"].endswith("+00:00")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "missing_key"), ({"Authorization": "Bearer of bad news"}, 401, "wrong_key")],
)
async def test_nobody_else_reads_them(file, key, headers, status, code):
    async with client_with(file, keys_file=key[0]) as client:
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
async def test_a_page_that_cannot_be_is_refused(file, key, query, code, message):
    async with client_with(file, keys_file=key[0]) as client:
        assert problem(await client.get(f"/feedback?{query}", headers=key[1]), 422, code) == message


async def test_the_last_id_that_there_can_be_is_no_error(url, key):
    async with client_with(url, keys_file=key[0]) as client:
        response = await client.get(f"/feedback?after={2**63 - 1}", headers=key[1])
    assert response.json() == {"corrections": [], "next": None}


# Databases that do not do it


async def predicts(client):
    """Answers, at once."""
    before = time.monotonic()
    response = await client.post("/predict", json={"pixels": PIXELS})
    assert response.status_code == 200
    assert time.monotonic() - before < 1
    return response.json()["digit"] == 7


async def test_a_service_without_a_database_takes_no_corrections_and_predicts(key):
    async with client_with("", keys_file=key[0]) as client:
        for response in (
            await client.post("/feedback", content=b"not even read"),
            await client.get("/feedback", headers=key[1]),
        ):
            assert problem(response, 404, "feedback_off") == (
                "this service takes no corrections: DIGITS_FEEDBACK_URL names no database"
            )
        assert await predicts(client)


async def test_a_database_that_cannot_be_reached_is_503_and_logged_once(caplog):
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        async with client_with(f"postgresql://u:hunter2@127.0.0.1:{port}/db") as client:
            for _ in range(3):
                message = problem(await client.post("/feedback", json=WHOLE), 503, "feedback_unavailable")
                assert message == (
                    "the database of corrections does not do it, the log of the service says why; try again later"
                )
            assert await predicts(client)
    (record,) = [record for record in caplog.records if record.name == "service.feedback"]
    assert "Connection refused" in record.getMessage()
    assert f"postgresql+psycopg://u:***@127.0.0.1:{port}/db" in record.getMessage()
    assert "hunter2" not in caplog.text


async def test_a_url_of_another_kind_is_503_and_in_the_log_without_its_password(caplog):
    async with client_with("mysql://u:hunter2@host/db") as client:
        problem(await client.post("/feedback", json=WHOLE), 503, "feedback_unavailable")
        assert await predicts(client)
    assert "the database's URL is of kind 'mysql', want sqlite:///FILE or postgresql://" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_full_disk_is_503_until_there_is_room_again(file, monkeypatch):
    opened = sqlite3.connect

    def full(*arguments, **options):
        connection = opened(*arguments, **options)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    async with client_with(file) as client:
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
        monkeypatch.setattr(sqlite3.dbapi2, "connect", full)
        while (response := await client.post("/feedback", json=WHOLE)).status_code == 201:
            pass  # the last page has room for a few
        problem(response, 503, "feedback_unavailable")
        assert await predicts(client)
        monkeypatch.undo()
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201


async def test_a_server_that_comes_back_is_found_by_itself(postgres):
    url = postgres.new_database()
    async with client_with(url) as client:
        headers = {"Idempotency-Key": "k"}
        assert (await client.post("/feedback", json=WHOLE, headers=headers)).status_code == 201
        await asyncio.to_thread(postgres.stop)
        try:
            problem(await client.post("/feedback", json=WHOLE, headers=headers), 503, "feedback_unavailable")
            assert await predicts(client)
        finally:
            await asyncio.to_thread(postgres.start)
        assert (await client.post("/feedback", json=WHOLE, headers=headers)).status_code == 200
    assert len(kept(url)) == 1


async def test_a_connection_in_use_at_the_end_is_closed_when_its_work_is_done(postgres):
    """It used to go back to a pool that nobody had any more, open until the garbage collector came by."""
    url = postgres.new_database()
    kept(url)  # makes the tables

    def connections():
        with psycopg.connect(url) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'digits' AND datname = %s"
            return connection.execute(query, [url.rpartition("/")[2]]).fetchone()[0]

    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE corrections")
        async with client_with(url, feedback_retention_days=0) as client:
            task = asyncio.create_task(client.post("/feedback", json=WHOLE))
            while not other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
                await asyncio.sleep(0.01)
            task.cancel()
        assert connections() == 1
        other.rollback()
    eventually(lambda: connections() == 0)


async def test_a_file_that_is_removed_is_made_anew(file, tmp_path):
    async with client_with(file) as client:
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
        for path in tmp_path.glob("feedback.sqlite3*"):
            path.unlink()
        statuses = [(await client.post("/feedback", json=WHOLE)).status_code for _ in range(2)]
    assert statuses == [503, 201]
    assert len(kept(file)) == 1


async def test_while_the_database_hangs_predictions_go_on_and_few_requests_wait(monkeypatch):
    """A machine that takes connections and never answers: what waits is bounded in number and in time."""
    monkeypatch.setitem(database.POSTGRES, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app, url = app_with(FakePredictor()), f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db"
        app.state.feedback = Feedback(url, 0, limit_waiting=4, timeout_s=0.5)
        async with client_of(app) as client:
            waiting = [asyncio.create_task(client.post("/feedback", json=WHOLE)) for _ in range(20)]
            for _ in range(50):
                assert await predicts(client)
            before = time.monotonic()
            answers = await asyncio.wait_for(asyncio.gather(*waiting), 10)
            assert time.monotonic() - before < 1.5
            codes = [answer.json()["error"]["code"] for answer in answers]
            assert {answer.status_code for answer in answers} == {503}
            assert codes.count("feedback_busy") >= 20 - 4 - 2  # two threads, and four that wait
            assert "the database of corrections has not answered in 0.5 s; try again later" in {
                answer.json()["error"]["message"] for answer in answers
            }
            assert await predicts(client)


def test_a_database_that_hangs_does_not_hold_up_the_end_of_the_process():
    code = (
        "import asyncio, sys; from tests.service_fakes import FakePredictor, app_with, client_of\n"
        "async def main():\n"
        "    async with client_of(app_with(FakePredictor(), feedback_url=sys.argv[1])) as client:\n"
        "        task = asyncio.create_task(client.post('/feedback', json={'pixels': [0] * 784, 'digit': 1}))\n"
        "        await asyncio.to_thread(sys.stdin.readline)\n"
        "        task.cancel()\n"
        "asyncio.run(main())"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=600"
        command = [sys.executable, "-c", code, url]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        connection, _ = silent.accept()
        try:
            assert process.communicate(b"end\n", timeout=20) == (None, b"")
        finally:
            process.kill()
            connection.close()
    assert process.returncode == 0


# Retention


async def test_what_is_older_than_the_retention_is_forgotten_at_the_start(url, monkeypatch):
    old = Corrections(url)
    old.prepare()

    class LongAgo(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - datetime.timedelta(days=31)

    with monkeypatch.context() as patch:
        patch.setattr("training.corrections.datetime.datetime", LongAgo)
        old.add(digit=1, pixels=bytes(784))
    new = old.add(digit=2, pixels=bytes(784)).id
    async with client_with(url, feedback_retention_days=30):
        await asyncio.to_thread(eventually, lambda: len(old.all()) == 1)
    assert [c.id for c in old.all()] == [new]
    old.close()


async def test_without_a_retention_nothing_is_ever_forgotten(file, monkeypatch):
    monkeypatch.setattr("service.feedback.PURGE_INTERVAL_S", 0)
    async with client_with(file, feedback_retention_days=0) as client:
        for _ in range(20):  # as many as there are purges, if there are any
            assert (await client.post("/feedback", json=WHOLE)).status_code == 201
    assert len(kept(file)) == 20


async def test_it_is_forgotten_again_and_again(file, monkeypatch):
    monkeypatch.setattr("service.feedback.PURGE_INTERVAL_S", 0.01)
    purges = []
    monkeypatch.setattr(Corrections, "purge", lambda self, before: purges.append(before))
    async with client_with(file):
        await asyncio.to_thread(eventually, lambda: len(purges) >= 3)


async def test_nothing_is_made_on_the_disk_before_there_is_a_correction(file, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with client_with(file) as client:
        await asyncio.to_thread(eventually, lambda: client._transport.app.state.feedback._corrections is not None)
        assert await predicts(client)
    assert list(tmp_path.iterdir()) == []
    assert "corrections" not in caplog.text


# Settings


def test_corrections_are_in_the_store_unless_a_url_says_otherwise(tmp_path):
    assert ServiceSettings(store=str(tmp_path)).corrections_url == f"sqlite:///{tmp_path}/feedback.sqlite3"
    assert ServiceSettings(store=str(tmp_path), feedback_url="").corrections_url == ""
    assert ServiceSettings(feedback_url="postgresql://h/d").corrections_url == "postgresql://h/d"
    assert ServiceSettings(store="gs://bucket/store").corrections_url == ""


def test_the_password_is_not_in_what_the_settings_look_like():
    assert "hunter2" not in repr(ServiceSettings(feedback_url="postgresql://u:hunter2@h/d"))


# The documentation


@pytest.fixture(scope="module")
def documented_api(tmp_path_factory, key):
    url = f"sqlite:///{tmp_path_factory.mktemp('documented')}/feedback.sqlite3"
    app = app_with(FakePredictor(), feedback_url=url, keys_file=key[0], body_limit_bytes=100_000)
    api = schemathesis.openapi.from_dict(app.openapi())
    api.app = app
    return api


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_schemathesis_finds_nothing_that_differs_from_the_documentation(documented_api, key, method):
    operation = documented_api["/feedback"][method]
    # A schema can't say that no pixel is above the scale: pictures that it takes may still be out of range.
    unsaid = [positive_data_acceptance] if method == "POST" else []

    @settings(
        deadline=None,
        max_examples=40,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(operation.as_strategy())
    def validate(case):
        case.call_and_validate(headers=key[1] if method == "GET" else {}, excluded_checks=unsaid)

    validate()


async def test_the_examples_of_the_documentation_are_of_its_schema_and_are_kept(file):
    app = app_with(FakePredictor(), feedback_url=file)
    document = app.openapi()
    content = document["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]
    question = jsonschema_rs.Draft202012Validator({**content["schema"], "components": document["components"]})
    async with client_of(app) as client:
        for example, status in zip(content["examples"].values(), (201, 404), strict=True):
            assert question.is_valid(example["value"])
            assert (await client.post("/feedback", json=example["value"])).status_code == status


# Several processes


def test_any_worker_finds_what_another_one_predicted(trained_store, tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.sqlite3"
    with running(trained_store, DIGITS_FEEDBACK_URL=url) as (process, address):
        asked = [httpx.post(f"{address}/predict", json={"pixels": PIXELS}) for _ in range(8)]
        numbers = [answer.headers["X-Prediction-Id"] for answer in asked]
        assert {number.partition("-")[0] for number in numbers} == {"0", "1"}  # connections are dealt out in turn
        for number in numbers:
            # one connection for each: connections are dealt out, so both workers get ids of both
            for _ in range(2):
                response = httpx.post(f"{address}/feedback", json={"prediction": number, "digit": 7}, timeout=20)
                assert response.status_code == 201, response.text
        process.terminate()  # a killed one would leave its folder behind
        process.communicate(timeout=60)
    assert {c.pixels for c in kept(url)} == {bytes(PIXELS)}
    assert len(kept(url)) == 16
