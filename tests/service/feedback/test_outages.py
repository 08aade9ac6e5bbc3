"""`/feedback` while its database is off, unreachable, full or hanging: its error answers; predictions go on."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count

import psycopg
import pytest

from service.feedback.async_corrections import AsyncCorrections
from tests.support.application import app_with, client_of
from tests.support.disk import fill
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.feedback import WHOLE, client_with, kept, predicts, problem
from tests.support.keys import AUTHORIZATION
from tests.support.waiting import eventually
from training.corrections import database

pytestmark = pytest.mark.anyio


async def test_a_service_without_a_database_takes_no_corrections_and_predicts(keys_file):
    async with client_with("", keys_file=keys_file) as client:
        for response in (
            await client.post("/feedback", content=b"not even read"),
            await client.get("/feedback", headers=AUTHORIZATION),
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
    (record,) = [record for record in caplog.records if record.name == "service.feedback.async_corrections"]
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
    async with client_with(file) as client:
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
        fill(monkeypatch)
        others = (WHOLE | {"pixels": picture(7, n).ravel().tolist()} for n in count())
        while (response := await client.post("/feedback", json=next(others))).status_code == 201:
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


@pytest.mark.parametrize("retention_days", [0, 365])
@pytest.mark.parametrize("before", ["a correction", "no correction"])
async def test_a_folder_that_has_vanished_is_503_and_not_made_anew(tmp_path, before, retention_days):
    """It is a store that is not mounted any more: what was kept in its place would be hidden by the next mount."""
    folder = tmp_path / "store"
    folder.mkdir()
    async with client_with(f"sqlite:///{folder}/f.sqlite3", feedback_retention_days=retention_days) as client:
        corrections = client._transport.app.service.corrections
        await asyncio.to_thread(eventually, lambda: corrections._corrections is not None)
        if before == "a correction":
            assert (await client.post("/feedback", json=WHOLE)).status_code == 201
        shutil.rmtree(folder)
        for _ in range(3):
            problem(await client.post("/feedback", json=WHOLE), 503, "feedback_unavailable")
            assert await predicts(client)
        assert not folder.exists()
        folder.mkdir()
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201


async def test_the_folder_of_a_url_that_was_given_is_made_once_and_the_store_never(tmp_path):
    given, store = tmp_path / "given", tmp_path / "store"
    async with client_with(f"sqlite:///{given}/deep/f.sqlite3") as client:
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
        shutil.rmtree(given)
        for _ in range(2):
            problem(await client.post("/feedback", json=WHOLE), 503, "feedback_unavailable")
        assert not given.exists()
    async with client_with(None, store=str(store)) as client:
        problem(await client.post("/feedback", json=WHOLE), 503, "feedback_unavailable")
        assert not store.exists()
        store.mkdir()
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
    assert (store / "feedback.sqlite3").exists()


async def test_while_the_database_hangs_predictions_go_on_and_few_requests_wait(monkeypatch):
    """A machine that takes connections and never answers: what waits is bounded in number and in time."""
    monkeypatch.setitem(database.POSTGRES, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app, url = app_with(FakePredictor()), f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db"
        corrections = AsyncCorrections(url, 0, limit_waiting=4, timeout_s=0.5)
        app.service = replace(app.service, corrections=corrections)
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
        "import asyncio, sys\n"
        "from tests.support.application import app_with, client_of\n"
        "from tests.support.fake_predictor import FakePredictor\n"
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
