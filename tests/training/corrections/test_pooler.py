"""PostgreSQL behind a pooler in transaction mode, as managed databases have it: each transaction gets any session."""

import datetime
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.support.corrections import SEVEN, WHOLE
from tests.support.pgbouncer import SESSIONS
from training.corrections import Added, Corrections, CorrectionsUnavailable
from training.corrections.database import Database

SERVICES = 2
THREADS = 4
EACH = 50
"""Corrections of each thread."""


@pytest.fixture
def direct(postgres):
    """The URL of an empty database without the pooler."""
    return postgres.new_database()


@pytest.fixture
def pooled(pgbouncer, direct):
    """The URL of the same database through the pooler."""
    return pgbouncer.url(direct)


@pytest.fixture
def services(pooled):
    """The corrections of two services that share the sessions of the pool; the first one has made the tables."""
    both = [Corrections(pooled) for _ in range(SERVICES)]
    both[0].prepare()
    yield both
    for corrections in both:
        corrections.close()


def test_corrections_of_two_services_at_once_are_all_kept(services):
    """With statements that the server had prepared, the services ran into each other's."""
    start = threading.Barrier(SERVICES * THREADS)

    def add(number):
        corrections, name = services[number % SERVICES], f"key-{number}"
        start.wait(30)
        return [corrections.add(**WHOLE | {"client_key": f"{name}-{n}"}) for n in range(EACH)]

    with ThreadPoolExecutor(SERVICES * THREADS) as threads:
        added = [one for several in threads.map(add, range(SERVICES * THREADS)) for one in several]
    assert all(one.new for one in added)
    ids = sorted(one.id for one in added)
    assert len(set(ids)) == SERVICES * THREADS * EACH
    for corrections in services:
        assert [c.id for c in corrections.all()] == ids


def test_keys_pages_and_retention_work_through_it(services):
    one, other = services
    first = one.add(**WHOLE)
    assert other.add(**WHOLE) == Added(first.id, new=False)
    for n in range(20):  # psycopg prepares a statement at its sixth use
        services[n % SERVICES].add(digit=n % 10, pixels=SEVEN)
    pages = [services[n % SERVICES].page(after, 4) for n, after in enumerate([0, 4, 8, 12, 16, 20])]
    assert [c.id for page in pages for c in page] == [c.id for c in one.all()] == [*range(1, 22)]
    assert other.purge(datetime.datetime.now(datetime.UTC)) == 21
    assert one.all() == []


def test_several_services_prepare_at_once_through_it(pooled):
    several = [Corrections(pooled) for _ in range(2 * SESSIONS)]
    with ThreadPoolExecutor(len(several)) as threads:
        list(threads.map(lambda corrections: corrections.prepare(), several))
    assert several[0].add(**WHOLE).id == several[1].add(**WHOLE).id
    for corrections in several:
        corrections.close()


def test_every_transaction_has_the_limits_and_leaves_none_behind(pooled, caplog):
    caplog.set_level(logging.WARNING)
    database, shown = Database(pooled), []
    for transaction in (database.reading, database.writing, database.reading, database.migrating):
        with transaction() as connection:
            shown.append(
                [
                    connection.execute(text(f"SHOW {name}")).scalar_one()
                    for name in ("statement_timeout", "idle_in_transaction_session_timeout")
                ]
            )
    assert shown == [["5s", "5s"]] * 3 + [["1min", "5s"]]
    database.close()
    with psycopg.connect(pooled, prepare_threshold=None) as other:  # gets a session that was used
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)
        assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_client_that_stops_in_the_middle_of_a_transaction_is_cut_off(services, pooled):
    """It would hold the lock of all writers."""
    database = Database(pooled)
    with suppress(CorrectionsUnavailable), database.writing() as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
        assert services[0].add(**WHOLE).new
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT 1"))
    database.close()
