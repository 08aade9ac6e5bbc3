"""Corrections in SQLite and in a real PostgreSQL server."""

import datetime
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from etils import epath

from tests.disk import fill
from tests.postgres import PASSWORD
from tests.service_fakes import eventually
from training import database
from training.corrections import (
    CORRECTIONS,
    MIGRATIONS,
    REVISION,
    Added,
    Corrections,
    CorrectionsUnavailable,
    KeyReused,
)
from training.database import WRITERS
from training.durable import locked
from training.errors import DigitsError

SEVEN = bytes(range(196)) * 4
WHOLE = {"digit": 7, "pixels": SEVEN, "client_key": "k", "model": "lenet", "version": 3, "predicted": 1}
NOW = datetime.datetime.now


@pytest.fixture
def corrections(url):
    corrections = Corrections(url)
    corrections.prepare()
    yield corrections
    corrections.close()


def test_a_correction_comes_back_as_it_was_given_with_the_time_in_utc(corrections):
    before = NOW(datetime.UTC)
    added = corrections.add(**WHOLE)
    (found,) = corrections.all()
    assert added == Added(found.id, new=True)
    assert {name: getattr(found, name) for name in WHOLE} == WHOLE
    assert before <= found.received <= NOW(datetime.UTC)
    assert found.received.utcoffset() == datetime.timedelta(0)


def test_what_is_not_known_is_none(corrections):
    corrections.add(digit=0, pixels=SEVEN)
    (found,) = corrections.all()
    assert (found.client_key, found.model, found.version, found.predicted) == (None, None, None, None)


def test_the_same_key_and_content_is_the_same_correction(corrections):
    first = corrections.add(**WHOLE)
    assert corrections.add(**WHOLE) == Added(first.id, new=False)
    assert len(corrections.all()) == 1


def test_without_a_key_the_same_content_is_another_correction(corrections):
    unkeyed = WHOLE | {"client_key": None}
    assert corrections.add(**unkeyed).id < corrections.add(**unkeyed).id


@pytest.mark.parametrize(
    ("name", "other"), [("digit", 8), ("pixels", bytes(784)), ("model", None), ("version", 4), ("predicted", None)]
)
def test_the_same_key_with_other_content_is_refused(corrections, name, other):
    number = corrections.add(**WHOLE).id
    with pytest.raises(KeyReused) as caught:
        corrections.add(**WHOLE | {name: other})
    assert str(caught.value) == (
        f"key 'k' came with another correction before, which has the id {number} and differs in {name}; "
        "want a new key for a new correction"
    )
    assert len(corrections.all()) == 1


@pytest.mark.parametrize(("digit", "pixels"), [(10, SEVEN), (-1, SEVEN), (7, SEVEN[1:])])
def test_what_is_no_digit_or_no_picture_is_refused(corrections, digit, pixels):
    with pytest.raises(DigitsError, match="want 0 to 9 and 784"):
        corrections.add(digit=digit, pixels=pixels)
    assert corrections.all() == []


def test_pages_ascend_by_id_and_go_on_where_the_last_one_ended(corrections):
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [[c.id for c in corrections.page(after, 2)] for after in (0, ids[1], ids[3], ids[4])] == [
        ids[:2],
        ids[2:4],
        ids[4:],
        [],
    ]


def test_all_of_them_are_more_than_are_read_at_once(corrections, monkeypatch):
    monkeypatch.setattr("training.corrections.READ_AT_ONCE", 2)
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [c.id for c in corrections.all()] == ids


def test_a_purge_forgets_what_is_older_and_no_id_is_used_again(corrections):
    old = corrections.add(digit=1, pixels=SEVEN)
    between = NOW(datetime.timezone(datetime.timedelta(hours=5)))  # the same moment, by another clock
    new = corrections.add(digit=2, pixels=SEVEN)
    assert corrections.purge(between) == 1
    assert [c.id for c in corrections.all()] == [new.id]
    assert corrections.purge(NOW(datetime.UTC)) == 1
    assert corrections.add(digit=3, pixels=SEVEN).id > new.id > old.id


def test_many_threads_with_few_keys_keep_one_correction_for_each_key(corrections):
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: corrections.add(**WHOLE | {"client_key": f"{n % 5}"}), range(200)))
    assert sum(one.new for one in added) == len({one.id for one in added}) == len(corrections.all()) == 5


def test_who_reads_on_from_the_last_id_misses_nothing_that_is_being_written(corrections):
    """Ids once were given in one order and committed in another: a reader between the two never saw the later one."""
    seen, done = [], threading.Event()

    def follow():
        while True:
            last = done.is_set()
            seen.extend(c.id for c in corrections.page(seen[-1] if seen else 0, 10))
            if last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda n: corrections.add(digit=n % 10, pixels=SEVEN).id, range(100)))
    done.set()
    follower.join(30)
    while len(seen) < 100 and (page := corrections.page(seen[-1], 10)):
        seen.extend(c.id for c in page)
    assert seen == sorted(ids)


# Migrations


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
    with locked(epath.Path(tmp_path)):
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


# What databases refuse


def test_a_database_that_is_not_prepared_is_unavailable(url):
    corrections = Corrections(url)
    with pytest.raises(CorrectionsUnavailable, match=r"unable to open database file|relation .* does not exist"):
        corrections.add(**WHOLE)
    corrections.close()


def test_sqlite_s_file_is_made_by_prepare_and_not_before(tmp_path):
    corrections = Corrections(f"sqlite:///{tmp_path}/new/feedback.sqlite3")
    assert not corrections.exist
    corrections.prepare()
    assert corrections.exist


@pytest.fixture
def in_sqlite(tmp_path):
    corrections = Corrections(f"sqlite:///{tmp_path}/feedback.sqlite3")
    corrections.prepare()
    return corrections


def test_a_full_disk_is_told_and_what_was_kept_is_still_read(in_sqlite, tmp_path, monkeypatch):
    kept = in_sqlite.add(**WHOLE).id
    fill(monkeypatch)
    for _ in range(10):  # the last page has room for a few
        with suppress(CorrectionsUnavailable):
            in_sqlite.add(digit=1, pixels=SEVEN)
    with pytest.raises(CorrectionsUnavailable, match=r"feedback\.sqlite3 does not do it: database or disk is full"):
        in_sqlite.add(digit=1, pixels=SEVEN)
    assert in_sqlite.all()[0].id == kept
    monkeypatch.undo()
    assert in_sqlite.add(digit=1, pixels=SEVEN).new


def test_a_database_that_another_program_holds_is_told(in_sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    impatient = Corrections(f"sqlite:///{tmp_path}/feedback.sqlite3")
    holder = sqlite3.connect(tmp_path / "feedback.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CorrectionsUnavailable, match="database is locked"):
        impatient.add(**WHOLE)
    assert impatient.all() == []  # readers need not wait
    holder.execute("ROLLBACK")
    holder.close()
    assert impatient.add(**WHOLE).new


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "feedback.sqlite3").write_bytes(b"not a database, but as long as one has to be" * 100)
    with pytest.raises(CorrectionsUnavailable, match="file is not a database"):
        Corrections(f"sqlite:///{tmp_path}/feedback.sqlite3").prepare()


def test_a_file_that_was_removed_is_noticed(in_sqlite, tmp_path):
    in_sqlite.add(**WHOLE)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(CorrectionsUnavailable, match="no such table"):
        in_sqlite.add(**WHOLE)
    in_sqlite.prepare()
    assert in_sqlite.add(**WHOLE).new


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorrectionsUnavailable, match="File exists"):
        Corrections(f"sqlite:///{tmp_path}/file/feedback.sqlite3").prepare()


def test_corrections_that_were_told_survive_a_killed_process(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.sqlite3"
    code = (
        "import os, sys; from training.corrections import Corrections; c = Corrections(sys.argv[1]); c.prepare()\n"
        "for n in range(20): c.add(digit=n % 10, pixels=bytes(784))\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, url]).returncode == -9
    assert [c.digit for c in Corrections(url).all()] == [n % 10 for n in range(20)]


def test_a_server_that_is_stopped_is_told_and_found_again_when_it_is_back(postgres):
    corrections = Corrections(postgres.new_database())
    corrections.prepare()
    first = corrections.add(**WHOLE)
    postgres.stop()
    try:
        with pytest.raises(CorrectionsUnavailable, match="Connection refused"):
            corrections.add(digit=1, pixels=SEVEN)
    finally:
        postgres.start()
    assert corrections.add(**WHOLE) == Added(first.id, new=False)
    corrections.close()


def test_a_statement_that_does_not_end_is_cut_off(postgres):
    url = postgres.new_database()
    corrections = Corrections(f"{url}?options=-c%20statement_timeout%3D50")
    corrections.prepare()
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE corrections")
        with pytest.raises(CorrectionsUnavailable, match="canceling statement due to statement timeout"):
            corrections.page(0, 1)
    corrections.close()


def test_no_message_and_no_log_has_the_password(postgres, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-and-more"
    url = postgres.url(password=secret)
    corrections = Corrections(url)
    with pytest.raises(CorrectionsUnavailable, match="password authentication failed") as caught:
        corrections.prepare()
    logging.getLogger("tests").error("told", exc_info=caught.value)
    assert f"postgresql+psycopg://digits:***@127.0.0.1:{postgres.port}/postgres" in str(caught.value)
    assert secret not in caplog.text + str(caught.value) + repr(caught.value)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the database's URL can't be read, want sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("postgresql://u:hunter2@host:port/db", "the database's URL can't be read, want "),
        ("mysql://u:hunter2@host/db", "the database's URL is of kind 'mysql', want "),
        ("postgresql+asyncpg://u:hunter2@host/db", "the database's URL is of kind 'postgresql+asyncpg', want "),
        ("sqlite://", "the database's URL names no file, want "),
        ("sqlite:///:memory:", "the database's URL names no file, want "),
        ("postgresql://u:x@hunter2@host/db", 'the password in the database\'s URL has an "@", want it written %40'),
    ],
)
def test_a_url_of_another_kind_is_refused_without_saying_its_password(url, message):
    with pytest.raises(DigitsError) as caught:
        Corrections(url)
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)


def test_a_machine_that_does_not_answer_is_given_up_soon(monkeypatch):
    monkeypatch.setitem(database.POSTGRES, "connect_timeout", 2)  # the least that there is
    with socket.create_server(("127.0.0.1", 0)) as silent:
        corrections = Corrections(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db")
        with pytest.raises(CorrectionsUnavailable, match="timeout"):
            corrections.prepare()
