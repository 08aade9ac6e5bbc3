"""What tests share: keys, some digits, a small network trained on them once, databases, compiled code."""

from __future__ import annotations

import hashlib
import re
import sys
import uuid
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest

from tests.support.compiled import COMPILED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.pgbouncer import PgBouncer
    from tests.support.postgres import Postgres
    from tests.support.s3 import S3Server
    from tests.support.shelf import Shelf
    from training.corrections import Corrections
    from training.data.digits import Digits
    from training.network.module import Params
    from training.report.champions import Champion
    from training.store import Store
    from training.store.card import Card

# JAX and what imports it are imported by fixtures: the process that only hands out tests to others does without.

hypothesis.settings.register_profile("quick", max_examples=25)
LONGEST_FIRST = (
    "test_readme",
    "test_retraining_loop",
    "test_parallel",
    "test_estimator",
    "test_job",
    "test_supervisor",
)
OUTSIDE = {
    "postgres": pytest.mark.needs_postgres,
    "pgbouncer": pytest.mark.needs_postgres,
    "chromium": pytest.mark.needs_chromium,
    "protocols": pytest.mark.needs_protocols,
    "ray_python": pytest.mark.needs_ray,
    "manifests": pytest.mark.needs_manifest_tools,
    "generators": pytest.mark.needs_generators,
}
"""Fixtures that start a program which `make test` does not install, and the marks of the tests that use them."""


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by the programs that they need, and lets files that take minutes begin first.

    When one of those began last, a processor had nothing to do until it was done.
    """
    for item in items:
        for fixture in OUTSIDE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(OUTSIDE[fixture])
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what `-m "not (…)"` has left out."""
    if config.option.markexpr.startswith("not "):
        named = re.findall(r"\w+", config.option.markexpr)
        left_out = [line for line in config.getini("markers") if line.partition(":")[0] in named]
        terminalreporter.write_line(f"left out; make test-all runs them too: {'; '.join(left_out)}")


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> None:
    """What XLA compiles for a test, later ones and all workers read: compiling is most of the time of a small network.

    Processes that tests start do as their store says.
    """
    from training.network.compile_cache import keep_compiled

    keep_compiled(COMPILED)


@pytest.fixture(scope="session", autouse=True)
def threads_take_turns_as_served() -> None:
    """The first server that a test starts would set it anyway, and the order of tests would decide how threads fare."""
    from service.server.draining_server import SWITCH_S

    sys.setswitchinterval(SWITCH_S)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of tests that are coroutines: the service's. Without a name, AnyIO would run them on Trio, too."""
    return "asyncio"


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one key of management, `secret`. Tests only read it."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"anna {hashlib.sha256(b'secret').hexdigest()}\n")
    return path


@pytest.fixture(scope="session")
def few_digits() -> Digits:
    """The first 4,000 training images."""
    from training import mnist

    return mnist.train().take(np.arange(4000))


@pytest.fixture(scope="session", autouse=True)
def few_pictures() -> Iterator[None]:
    """Of the digits that are rendered as pictures, tests look at a few: each takes 20 ms."""
    from training.evaluation import trust

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "RENDERED", 60)
        patch.setattr(trust, "UCI", 40)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_outliers() -> Iterator[None]:
    """A head learns a few pictures."""
    from tests.support.few_outliers import learn_few

    with pytest.MonkeyPatch.context() as patch:
        learn_few(patch.setattr)
        yield


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory: pytest.TempPathFactory, few_digits: Digits) -> Store:
    """A store with version 1 of the model `tiny`. Tests only read it."""
    from tests.support.small import QUICK, TINY, nobody_watching
    from training.fitting.job import run
    from training.store import Store

    store = Store(tmp_path_factory.mktemp("store"))
    run(store, "tiny", TINY, QUICK, few_digits, source="a test", resume=False, watching=nobody_watching)
    return store


@pytest.fixture(scope="session")
def trained(trained_store: Store) -> tuple[Card, Params]:
    """Card and weights of the model `tiny`."""
    return trained_store.load("tiny", 1)


@pytest.fixture(scope="session")
def tiny(trained_store: Store, few_digits: Digits) -> Champion:
    """The champion `tiny` on digits it was trained on: enough to draw."""
    from training.report.champions import champions

    return champions(trained_store, few_digits)[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server. Tests leave it running."""
    from tests.support.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """A pooler in transaction mode in front of the PostgreSQL server. Tests leave it running."""
    from tests.support.pgbouncer import running_pgbouncer

    with running_pgbouncer(postgres) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server with an empty bucket. Tests leave it running, and use prefixes of their own."""
    from tests.support.s3 import S3Server

    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3_url(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store on the S3 server, which obstore finds by the environment."""
    from tests.support.s3 import BUCKET

    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")  # while it runs, its thread has an event loop, in which no coroutine could be tested
def chromium() -> Iterator[Browser]:
    """A browser."""
    from tests.support.browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def generators() -> None:
    """The programs that make clients of openapi.json, in Python and for Node.js."""


@pytest.fixture(scope="session")
def protocols() -> Path:
    """The interpreter of the environment that has Triton's client and MLServer."""
    from tests.conformance.mlserver.environment import protocols_python

    return protocols_python()


@pytest.fixture(scope="session")
def ray_python() -> Path:
    """The interpreter of the environment that has Ray."""
    from tests.support import ray_environment

    return ray_environment.ray_python()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of corrections, of each kind: SQLite's is not there yet, PostgreSQL's is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a folder/feedback.sqlite3"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a database of corrections in a file that is not there yet."""
    return f"sqlite:///{tmp_path}/feedback.sqlite3"


@pytest.fixture
def corrections(url: str) -> Iterator[Corrections]:
    """The corrections in a new database, of each kind."""
    from training.corrections import Corrections

    corrections = Corrections(url)
    corrections.prepare()
    yield corrections
    corrections.close()


@pytest.fixture
def shelf() -> Shelf:
    """Three versions of lenet, of which the third can't be loaded."""
    from tests.support.fake_predictor import FakePredictor
    from tests.support.shelf import Shelf

    return Shelf({"lenet": {1: FakePredictor(version=1), 2: FakePredictor(version=2), 3: ValueError("it is torn")}})
