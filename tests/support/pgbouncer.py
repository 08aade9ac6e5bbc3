"""A real PgBouncer in transaction mode in front of a PostgreSQL server of tests: each transaction gets any session."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.support.postgres import PASSWORD, PATIENCE_S, USER, nobody
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Postgres

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
SESSIONS = 2
"""Of the server for each database: fewer than clients, so that they have to share."""


class PgBouncer:
    """A pooler on a free port of this machine; `url` leads through it to a database."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        if PROGRAM is None:
            raise FileNotFoundError("pgbouncer is missing: `make test-all` installs it, or `apt-get install pgbouncer`")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        users, settings = folder / "users", folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        settings.write_text(
            f"""[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {SESSIONS}
"""
        )
        for path in (users, settings):
            if nobody():
                shutil.chown(path, nobody())
        self.process = subprocess.Popen(
            [PROGRAM, "--quiet", settings], user=nobody(), cwd=folder, stderr=subprocess.DEVNULL
        )
        self._server = server
        eventually(self._answers, PATIENCE_S)

    def url(self, direct: str) -> str:
        """The URL through the pooler of a database, by its direct URL."""
        return direct.replace(f":{self._server.port}/", f":{self.port}/")

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the pooler has ended"
        try:
            psycopg.connect(self.url(self._server.url())).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running_pgbouncer(server: Postgres) -> Iterator[PgBouncer]:
    """A pooler for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="digits-pgbouncer-") as name:
        if nobody():
            shutil.chown(name, nobody())
        pooler = PgBouncer(Path(name), server)
        try:
            yield pooler
        finally:
            pooler.process.kill()
            pooler.process.wait()
