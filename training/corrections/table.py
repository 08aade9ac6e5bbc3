"""The table of corrections: pictures with the digit that a person says they show, and the digit that was predicted.

The service writes it and retraining reads it. Models and versions are plain names and numbers there, because a
correction outlives the version that it corrects.
"""

from __future__ import annotations

import datetime
import hmac
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)

from training.corrections.database import CorrectionsUnavailable as CorrectionsUnavailable
from training.corrections.database import Database
from training.errors import DigitsError
from training.images import CLASSES, PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

MIGRATIONS: Final = Path(__file__).parent / "migrations"
REVISION: Final = "0002"
"""The newest migration; a database with this revision needs none."""
REVISIONS: Final = Table("corrections_revision", MetaData(), Column("version_num", String(32)))
"""Alembic's own table; its name leaves room for other programs in the same database."""
CORRECTIONS: Final = Table(
    "corrections",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("received", DateTime(timezone=True)),
    Column("client_key", String(200)),
    Column("model", String(64)),
    Column("version", Integer),
    Column("predicted", SmallInteger),
    Column("digit", SmallInteger),
    Column("pixels", LargeBinary),
    Column("author", String(32)),
)
STORED: Final = [column for column in CORRECTIONS.columns if column.name != "author"]
"""The columns of a `Correction`."""
AUTHOR_BYTES: Final = 16
READ_AT_ONCE: Final = 1000
"""Number of rows in one statement, so that none takes long."""


class KeyReused(DigitsError):
    """A client sent the idempotency key of one correction with another one."""


class Correction(msgspec.Struct, frozen=True):
    """A picture, 784 bytes row by row, and the digit 0…9 that it shows.

    `model`, `version` and `predicted` are of the corrected prediction, where it is known; `received` is in UTC; ids
    ascend in the order in which corrections become visible, and are never used again.
    """

    id: int
    received: datetime.datetime
    client_key: str | None
    model: str | None
    version: int | None
    predicted: int | None
    digit: int
    pixels: bytes


class Added(NamedTuple):
    """The id of a correction, and whether it is new."""

    id: int
    new: bool


class Corrections:
    """The corrections in the database at a URL, sqlite:///… or postgresql://…. Thread-safe.

    Raises DigitsError for a URL of another kind; every method raises CorrectionsUnavailable when the database refuses.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @property
    def exist(self) -> bool:
        """Whether there may be corrections; False where SQLite's file does not exist yet."""
        return self._database.file is None or self._database.file.exists()

    @property
    def folder_exists(self) -> bool:
        """Whether the folder of SQLite's file exists; True for PostgreSQL."""
        return self._database.file is None or self._database.file.parent.exists()

    def prepare(self, *, make_folder: bool = True) -> None:
        """Creates or migrates the tables; by default also makes the folder of SQLite's file.

        Idempotent, and safe for several processes at once. Raises CorrectionsUnavailable.
        """
        if self.exist:
            with self._database.reading() as connection:
                if _revision(connection) == REVISION:
                    return
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._database.migrating(make_folder=make_folder) as connection:
            config.attributes["connection"] = connection
            config.attributes["version_table"] = REVISIONS.name
            command.upgrade(config, "head")

    def add(
        self,
        *,
        digit: int,
        pixels: bytes,
        client_key: str | None = None,
        model: str | None = None,
        version: int | None = None,
        predicted: int | None = None,
        client: str | None = None,
    ) -> Added:
        """Stores a correction; `client_key` is an idempotency key: the same one stores it once.

        It replaces an earlier correction of the same picture by the same `client`. Raises KeyReused when the key came
        with another correction, and DigitsError for a wrong digit or picture.
        """
        if not 0 <= digit < CLASSES or len(pixels) != PIXELS:
            raise DigitsError(f"digit is {digit} and the picture has {len(pixels)} pixels, want 0 to 9 and {PIXELS}")
        content = {"model": model, "version": version, "predicted": predicted, "digit": digit, "pixels": pixels}
        with self._database.writing() as connection:
            if client_key is not None and (known := _with_key(connection, client_key)):
                if differing := [name for name, value in content.items() if getattr(known, name) != value]:
                    raise KeyReused(
                        f"key {client_key!r} came with another correction before, which has the id {known.id} "
                        f"and differs in {', '.join(differing)}; want a new key for a new correction"
                    )
                return Added(known.id, new=False)
            author = _author(client, pixels) if client else None
            if author is not None:
                connection.execute(delete(CORRECTIONS).where(CORRECTIONS.c.author == author))
            row = content | {
                "client_key": client_key,
                "received": datetime.datetime.now(datetime.UTC),
                "author": author,
            }
            number = connection.execute(insert(CORRECTIONS).values(row).returning(CORRECTIONS.c.id)).scalar_one()
        return Added(number, new=True)

    def remove(
        self, number: int, *, client_key: str | None = None, client: str | None = None, anyone: bool = False
    ) -> bool:
        """Deletes the correction with an id; whether there was one, and one that may be deleted.

        By whom it was sent: with the same `client_key`, or by the same `client`; or of `anyone`.
        """
        columns = (CORRECTIONS.c.client_key, CORRECTIONS.c.author, CORRECTIONS.c.pixels)
        with self._database.writing() as connection:
            row = connection.execute(select(*columns).where(CORRECTIONS.c.id == number)).one_or_none()
            if row is None:
                return False
            same_key = _same(client_key, row.client_key)
            if not (anyone or same_key or (client and _same(_author(client, bytes(row.pixels)), row.author))):
                return False
            connection.execute(delete(CORRECTIONS).where(CORRECTIONS.c.id == number))
            return True

    def page(self, after: int, limit: int) -> list[Correction]:
        """At most `limit` corrections with ids greater than `after`, ascending."""
        query = select(*STORED).where(CORRECTIONS.c.id > after).order_by(CORRECTIONS.c.id).limit(limit)
        with self._database.reading() as connection:
            return [_correction(row) for row in connection.execute(query).mappings()]

    def all(self) -> list[Correction]:
        """Every correction, ascending by id."""
        found = page = self.page(0, READ_AT_ONCE)
        while page:
            page = self.page(page[-1].id, READ_AT_ONCE)
            found += page
        return found

    def purge(self, before: datetime.datetime) -> int:
        """Deletes the corrections that were received before a time; returns their number."""
        if not self.exist:
            return 0
        old = delete(CORRECTIONS).where(CORRECTIONS.c.received < before.astimezone(datetime.UTC))
        with self._database.writing() as connection:
            return connection.execute(old).rowcount

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._database.close()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(REVISIONS.name):
        return None
    return connection.execute(select(REVISIONS.c.version_num)).scalar()


def _author(client: str, pixels: bytes) -> str:
    """A digest of a client and a picture: it tells two corrections of one picture by one client, and nothing else."""
    return blake2s(client.encode(), key=blake2s(pixels).digest(), digest_size=AUTHOR_BYTES).hexdigest()


def _same(given: str | None, kept: str | None) -> bool:
    """Whether two secrets are there and the same, compared in constant time."""
    return given is not None and kept is not None and hmac.compare_digest(given.encode(), kept.encode())


def _with_key(connection: Connection, client_key: str) -> Correction | None:
    query = select(*STORED).where(CORRECTIONS.c.client_key == client_key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _correction(row)


def _correction(row: Mapping[Any, Any]) -> Correction:
    received = row["received"]
    in_utc = received.astimezone(datetime.UTC) if received.tzinfo else received.replace(tzinfo=datetime.UTC)  # SQLite
    return Correction(**{**row, "received": in_utc, "pixels": bytes(row["pixels"])})
