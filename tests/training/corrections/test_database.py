"""Databases of corrections that cannot be used are refused soon and with the reason."""

import logging
import socket
import sqlite3
import subprocess
import sys
from contextlib import suppress

import psycopg
import pytest

from tests.support.corrections import SEVEN, WHOLE
from tests.support.disk import fill
from tests.support.postgres import PASSWORD
from training.corrections import (
    Added,
    Corrections,
    CorrectionsUnavailable,
    database,
)
from training.errors import DigitsError


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
