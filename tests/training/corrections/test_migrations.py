"""The tables of corrections, made by several at once and brought up to date."""

import datetime
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from alembic.command import upgrade
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.support.corrections import WHOLE
from tests.support.waiting import eventually
from training.corrections import Corrections, CorrectionsUnavailable, table
from training.corrections.database import WRITERS
from training.corrections.table import CORRECTIONS, MIGRATIONS, REVISION
from training.filesystem import locked


def test_the_revision_that_needs_no_migration_is_the_newest_one():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_the_migrations_make_the_columns_that_are_read(corrections, url):
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            found = [row[1] for row in connection.execute("PRAGMA table_info(corrections)")]
        connection.close()
    else:
        with psycopg.connect(url) as connection:
            query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'corrections'"
            found = [name for (name,) in connection.execute(f"{query} ORDER BY ordinal_position")]
    assert found == [column.name for column in CORRECTIONS.columns]


def test_an_empty_database_can_be_prepared_by_several_processes_at_once_and_again(url):
    code = (
        "import sys; from training.corrections import Corrections; input()\n"
        "c = Corrections(sys.argv[1]); c.prepare(); c.close()"
    )
    command = [sys.executable, "-W", "error", "-c", code, url]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in processes] == ["", "", ""]
    corrections = Corrections(url)
    number = corrections.add(**WHOLE).id
    corrections.prepare()
    assert [c.id for c in corrections.all()] == [number]
    corrections.close()


def test_many_threads_prepare_at_once(url):
    corrections = Corrections(url)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: corrections.prepare(), range(8)))
    assert corrections.add(**WHOLE).new
    corrections.close()


def test_prepare_waits_for_another_process_that_prepares_sqlite(tmp_path):
    corrections = Corrections(f"sqlite:///{tmp_path}/feedback.sqlite3")
    preparing = threading.Thread(target=corrections.prepare)
    with locked(tmp_path):
        preparing.start()
        preparing.join(0.3)
        assert preparing.is_alive()
        assert list(tmp_path.iterdir()) == []
    preparing.join(10)
    assert corrections.add(**WHOLE).new


def test_prepare_waits_for_whoever_writes_into_sqlite_s_file(tmp_path):
    corrections = Corrections(f"sqlite:///{tmp_path}/feedback.sqlite3")
    preparing = threading.Thread(target=corrections.prepare)
    with closing(sqlite3.connect(tmp_path / "feedback.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        preparing.start()
        preparing.join(0.3)
        assert preparing.is_alive()
        connection.execute("COMMIT")
    preparing.join(10)
    assert corrections.add(**WHOLE).new


def test_prepare_waits_for_another_process_that_prepares_postgresql(postgres):
    url = postgres.new_database()
    corrections = Corrections(url)
    preparing = threading.Thread(target=corrections.prepare)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [WRITERS])
        preparing.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: connection.execute(waiting).fetchone() == (1,), 10)
        assert connection.execute("SELECT to_regclass('corrections')").fetchone() == (None,)
    preparing.join(10)
    assert corrections.add(**WHOLE).new
    corrections.close()


def test_a_database_of_a_later_version_is_told(corrections, url):
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE corrections_revision SET version_num = '9999'")
        connection.close()
    else:
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE corrections_revision SET version_num = '9999'")
    with pytest.raises(CorrectionsUnavailable, match="Can't locate revision identified by '9999'"):
        corrections.prepare()


def test_corrections_of_an_older_version_are_kept_and_have_no_author(url, monkeypatch):
    corrections = Corrections(url)
    monkeypatch.setattr(table, "REVISION", "0001")
    with monkeypatch.context() as older:
        older.setattr(table.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        corrections.prepare()
    with corrections._database.writing() as connection:
        row = WHOLE | {"received": datetime.datetime.now(datetime.UTC)}
        connection.execute(CORRECTIONS.insert().values(row))
    monkeypatch.undo()
    corrections.prepare()
    (found,) = corrections.all()
    assert {name: getattr(found, name) for name in WHOLE} == WHOLE
    assert not corrections.remove(found.id, client="anna")
    assert corrections.add(digit=1, pixels=WHOLE["pixels"], client="anna").new
    assert len(corrections.all()) == 2
    corrections.close()
