"""A real PostgreSQL server for tests, with a data folder of its own on a free port of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
USER, PASSWORD = "digits", "s3cret-pässword"
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "log_min_messages": "fatal"}
PATIENCE_S = 30.0


def program(name: str) -> Path:
    """One of PostgreSQL's programs."""
    for folder in FOLDERS:
        if (folder / name).exists():
            return (folder / name).resolve()
    raise FileNotFoundError(
        f"PostgreSQL's {name} is missing: `make test-all` installs it, or `apt-get install postgresql`"
    )


def nobody() -> str | None:
    """Whom to run the server as: PostgreSQL refuses to be root."""
    return "nobody" if os.getuid() == 0 else None


class Postgres:
    """A server that can be stopped and started again; `new_database` is a database that nobody has used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with tempfile.NamedTemporaryFile("w") as password:
            password.write(PASSWORD)
            password.flush()
            if nobody():
                shutil.chown(password.name, nobody())
            subprocess.run(
                [
                    program("initdb"),
                    *("--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                    *(f"--username={USER}", f"--pwfile={password.name}", f"--pgdata={folder}"),
                ],
                check=True,
                capture_output=True,
                user=nobody(),
                cwd=folder,
            )
        self.start()

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """Of a database of this server."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server, and waits until it takes connections."""
        options = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(self.port)}).items()]
        self._process = subprocess.Popen(
            [program("postgres"), "-D", self._folder, *options], user=nobody(), cwd=self._folder
        )
        eventually(self._answers, PATIENCE_S)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server and every connection to it; SIGQUIT leaves its files as a crash would, and takes no time."""
        self._process.send_signal(how)
        self._process.wait(PATIENCE_S)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the server has ended"
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="digits-postgres-") as name:
        if nobody():
            shutil.chown(name, nobody())
        server = Postgres(Path(name))
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
