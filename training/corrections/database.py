"""Connections to a SQL database by its URL, SQLite or PostgreSQL: transactions, locks, timeouts, errors."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from training.errors import DigitsError
from training.filesystem import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection, Engine

WANTED: Final = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
POSTGRES_NAMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
POSTGRES: Final[dict[str, Any]] = {
    "connect_timeout": 3,  # s
    "tcp_user_timeout": 5_000,  # ms: a machine that is gone does not close the connection
    "keepalives_idle": 3,  # s
    "keepalives_interval": 1,  # s
    "keepalives_count": 3,
    "application_name": "digits",
    "prepare_threshold": None,  # a pooler such as PgBouncer gives each transaction another session
}
"""Defaults of connections; the URL may set others. Poolers refuse the startup parameter `options`."""
TIMEOUTS: Final = "SET LOCAL statement_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 5000"
"""In ms, for each transaction, unless the URL has `options`: a client that stops in the middle of a transaction would
hold the lock of all writers."""
POOL: Final[dict[str, Any]] = {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2, "pool_timeout": 3}
WRITERS: Final = 0x64_69_67_69_74_73
"""PostgreSQL's advisory lock of writers: the letters "digits"."""
MIGRATION_TIMEOUT_MS: Final = 60_000
BUSY_TIMEOUT_S: Final = 3


class CorrectionsUnavailable(DigitsError):
    """The database refuses: it can't be reached, is full, locked, read-only, or not prepared."""


class Database:
    """A database at a URL; nothing is opened before the first transaction. Thread-safe.

    Raises DigitsError for a URL of another kind. No error text contains the URL's password.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = _sqlite(self._url) if self.is_sqlite else _postgres(self._url)
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    def __str__(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string()

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        return Path(self._url.database) if self.is_sqlite and self._url.database else None

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads. Raises CorrectionsUnavailable."""
        return self._transaction(self._engine)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, one at a time: what is committed later has the greater id.

        Raises CorrectionsUnavailable.
        """
        with self._transaction(self._writer) as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))
            yield connection

    @contextmanager
    def migrating(self, *, make_folder: bool = True) -> Iterator[Connection]:
        """A transaction that changes the tables, one at a time; `make_folder`: also makes SQLite's folder.

        Raises CorrectionsUnavailable.
        """
        if self.file is None:
            with self._transaction(self._writer) as connection:
                timeout = func.set_config("statement_timeout", str(MIGRATION_TIMEOUT_MS), True)
                connection.execute(select(timeout))
                connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))
                yield connection
            return
        with self._refusals():
            if make_folder:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.file.parent):  # SQLite's own lock does not cover the change to a write-ahead log
                with self._engine.connect().execution_options(begin="SELECT 1") as connection:
                    _log_ahead(connection)
                with self._transaction(self._writer) as connection:
                    yield connection

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._refusals(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, CommandError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            reason = " ".join(str(cause).split())
            if self._url.password:
                reason = reason.replace(self._url.password, "***")
            # not `from error`: the driver's error, which may contain the URL, would be logged
            raise CorrectionsUnavailable(f"the database {self} does not do it: {reason}") from None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DigitsError(f"the database's URL can't be read, want {WANTED}") from None
    if parsed.drivername in POSTGRES_NAMES:
        if "@" in (parsed.host or ""):
            raise DigitsError('the password in the database\'s URL has an "@", want it written %40')
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise DigitsError(f"the database's URL is of kind {parsed.drivername!r}, want {WANTED}")
    if parsed.database in (None, "", ":memory:"):
        raise DigitsError(f"the database's URL names no file, want {WANTED}")
    return parsed


def _sqlite(url: URL) -> Engine:
    """SQLite without a pool: each transaction opens the file anew, so that a replaced file is noticed."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def by_hand(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # or Python begins transactions, later than it should

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _log_ahead(connection: Connection) -> None:
    """Sets SQLite's write-ahead log; SQLite does not apply its busy timeout to that, so it is tried again here."""
    end_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError as error:
            busy = isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > end_s:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres(url: URL) -> Engine:
    arguments = {name: value for name, value in POSTGRES.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=arguments, hide_parameters=True, **POOL)
    except (NoSuchModuleError, ArgumentError) as error:
        raise DigitsError(f"the database's URL can't be used: {error}") from None
    if "options" not in url.query:

        @event.listens_for(engine, "begin")
        def limit(connection: Connection) -> None:
            connection.exec_driver_sql(TIMEOUTS)

    return engine
