"""`python -m tests.load.store_polling`: what a thousand services that follow a store cost an S3 server (simulated)."""

import asyncio
import logging
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import typer

from service.models import store_watcher
from service.models.loader import Loader
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.settings import ServiceSettings
from tests.load.environment import Others, machine, warn_of_others
from tests.support.s3 import BUCKET, Request, S3Server
from training.commands.console import stdout
from training.commands.options import JsonOption
from training.store import Store, manifest, object_storage

MODEL = "lenet"
FILES, FILE_BYTES = 12, 32 * 2**10
"""A version of about the size of `lenet`, in as many files as Orbax writes."""
BUCKET_S = 0.1
"""Peaks are counted in times of so many seconds."""
PATIENCE_S = 300.0

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Load:
    """The requests of a time."""

    seconds: float
    requests: int
    per_s: float
    peak_per_s: float
    """Of the busiest tenth of a second."""
    kilobytes_per_s: float
    """Bodies of answers."""
    answers: dict[str, int]
    """By method and status."""

    @classmethod
    def of(cls, requests: list[Request], first_s: float, last_s: float) -> "Load":
        """The load of those requests that were answered in a time."""
        found = [request for request in requests if first_s <= request.when_s < last_s]
        buckets = Counter(int((request.when_s - first_s) / BUCKET_S) for request in found)
        seconds = last_s - first_s
        return cls(
            seconds=round(seconds, 2),
            requests=len(found),
            per_s=round(len(found) / seconds, 1),
            peak_per_s=round(max(buckets.values(), default=0) / BUCKET_S, 1),
            kilobytes_per_s=round(sum(request.size_bytes for request in found) / seconds / 1000, 1),
            answers=dict(Counter(f"{request.method} {request.status}" for request in found).most_common()),
        )


@dataclass(frozen=True)
class Polling:
    """What came of a simulation."""

    followers: int
    interval_s: float
    in_step: bool
    """Whether all followers polled at the same moments, for comparison."""
    started_s: float
    """Until the last follower had loaded the first version; all of them started at once."""
    start: Load
    idle: Load
    """While nothing changed."""
    server_processor_share: float
    """Of one processor, while nothing changed."""
    poll_ms: tuple[float, float]
    """How long the store took for a poll, median and 99th percentile, while nothing changed."""
    followed_s: tuple[float, float, float]
    """Until half of the followers, 99 % and all of them had loaded a new version, from its promotion."""
    roll_out: Load
    others: float
    """What other processes took of the processors."""


class _Version(NamedTuple):
    """A version that is downloaded and verified, and answers nothing."""

    name: str
    version: int

    async def retire(self) -> None:
        """Does nothing: no request is in flight."""


class _Follower(Loader):
    """A loader that downloads and verifies versions, and compiles nothing. Notes when it had them."""

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings, _METRICS)
        self.loaded_s: dict[int, float] = {}
        self.polls_s: list[tuple[float, float]] = []

    def plan(self, model: str):
        began_s = time.monotonic()
        plan = super().plan(model)
        self.polls_s.append((began_s, time.monotonic() - began_s))
        return plan

    def load(self, model: str, version: int):
        self._store.verify(model, version)
        self.loaded_s[version] = time.monotonic()
        return _Version(model, version)


_METRICS = SimpleNamespace(models=SimpleNamespace(set_loaded=lambda _: None, set_rejected=lambda _: None))


@app.command(epilog="Example:  python -m tests.load.store_polling --followers 1000 --seconds 30")
def main(
    followers: Annotated[int, typer.Option(min=1, help="How many services follow the store.")] = 1000,
    interval: Annotated[float, typer.Option(min=0.1, help="DIGITS_POLL_INTERVAL_S of each.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long nothing changes.")] = 30.0,
    in_step: Annotated[bool, typer.Option("--in-step", help="All poll at the same moments, for comparison.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let many services follow one store in object storage: requests while nothing changes, and a roll-out."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    object_storage.TRANSFERS = 1  # or a thousand followers on one machine would have eight thousand threads
    with tempfile.TemporaryDirectory() as folder, _server() as (server, environment):
        os.environ |= environment
        outcome = asyncio.run(simulate(Path(folder), server, followers, interval, seconds, in_step=in_step))
    if as_json:
        typer.echo(msgspec.json.encode(asdict(outcome) | {"machine": machine()}))
        return
    idle, start, roll_out = outcome.idle, outcome.start, outcome.roll_out
    steps = "all at the same moments" if in_step else "at random moments"
    stdout.print(f"{followers:,} followers poll every {interval:g} s at most, {steps}", soft_wrap=True)
    for name, load in (("start", start), ("nothing changes", idle), ("roll-out", roll_out)):
        answers = ", ".join(f"{count:,} x {answer}" for answer, count in load.answers.items())
        stdout.print(
            f"{name}: {load.per_s:,.0f} requests/s in {load.seconds:g} s, at most {load.peak_per_s:,.0f} in a tenth of "
            f"a second, {load.kilobytes_per_s:,.0f} kB/s of bodies; {answers}",
            soft_wrap=True,
        )
    half, most, every = outcome.followed_s
    stdout.print(f"all had the first version after {outcome.started_s:.1f} s", soft_wrap=True)
    stdout.print(f"a new version: half had it after {half:.1f} s, 99 % after {most:.1f} s, all after {every:.1f} s")
    stdout.print(
        f"a poll took {outcome.poll_ms[0]:.1f} ms (median), {outcome.poll_ms[1]:.1f} ms (p99); the server took "
        f"{outcome.server_processor_share:.0%} of a processor while nothing changed",
        soft_wrap=True,
    )
    warn_of_others(outcome.others)


async def simulate(
    folder: Path,
    server: Connection,
    followers: int,
    interval_s: float,
    seconds: float,
    *,
    in_step: bool = False,
    url: str = f"s3://{BUCKET}/store",
) -> Polling:
    """Starts followers at once, waits while nothing changes, and promotes another version."""
    publisher = Store(url, cache=folder / "publisher")
    _publish(publisher, 1, folder)
    publisher._storage.replace(f"{MODEL}/aliases.json", b'{"champion": 1}', None)
    loaders = [
        _Follower(ServiceSettings(store=url, cache=folder / f"{number}", model=MODEL)) for number in range(followers)
    ]
    watchers = [
        StoreWatcher(loader, ModelRegistry(), _METRICS, StoreThread(PATIENCE_S), interval_s) for loader in loaders
    ]
    others, began_s = Others(), time.monotonic()
    await asyncio.gather(*(watcher.start() for watcher in watchers))
    started_s = time.monotonic()
    with _in_step(in_step):
        running = [asyncio.create_task(watcher.run()) for watcher in watchers]
        await asyncio.sleep(2 * interval_s)  # until each has polled
        idle_s, processor_s = time.monotonic(), _processor_s(server)
        await asyncio.sleep(seconds)
        idle_end_s, processor_s = time.monotonic(), _processor_s(server) - processor_s
        await asyncio.to_thread(_publish, publisher, 2, folder)
        promoted_s = time.monotonic()
        await asyncio.to_thread(publisher.promote, MODEL, 2)
        async with asyncio.timeout(PATIENCE_S):
            while not all(2 in loader.loaded_s for loader in loaders):
                await asyncio.sleep(0.05)
        followed_s = sorted(loader.loaded_s[2] - promoted_s for loader in loaders)
        for task in running:
            task.cancel()
    for watcher in watchers:
        watcher.close()
    server.send("requests")
    requests = server.recv()
    polls_s = [took_s for loader in loaders for when_s, took_s in loader.polls_s if idle_s <= when_s < idle_end_s]
    return Polling(
        followers=followers,
        interval_s=interval_s,
        in_step=in_step,
        started_s=round(started_s - began_s, 2),
        start=Load.of(requests, began_s, started_s),
        idle=Load.of(requests, idle_s, idle_end_s),
        server_processor_share=round(processor_s / (idle_end_s - idle_s), 3),
        poll_ms=(round(statistics.median(polls_s) * 1000, 2), round(float(np.quantile(polls_s, 0.99)) * 1000, 2)),
        followed_s=(
            round(statistics.median(followed_s), 2),
            round(float(np.quantile(followed_s, 0.99)), 2),
            round(followed_s[-1], 2),
        ),
        roll_out=Load.of(requests, promoted_s, promoted_s + followed_s[-1]),
        others=round(others.share, 3),
    )


def _publish(store: Store, version: int, folder: Path) -> None:
    """Adds a version of files without a meaning."""
    staged = folder / f"staged-{version}"
    (staged / "params").mkdir(parents=True)
    for number in range(FILES):
        (staged / "params" / f"{number}").write_bytes(random.randbytes(FILE_BYTES))
    manifest.write(staged)
    assert store._storage.add_version(MODEL, version, staged)
    shutil.rmtree(staged)


@contextmanager
def _in_step(wanted: bool):
    """Lets watchers poll without chance in the times between."""
    uniform = random.uniform
    if wanted:
        store_watcher.random.uniform = lambda _, last: last
    try:
        yield
    finally:
        random.uniform = uniform


@contextmanager
def _server():
    """An S3 server in a process of its own: a connection to it, and the environment that obstore finds it by."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours, ours.recv()
    finally:
        ours.send("stop")
        process.join()


def _serve(connection: Connection) -> None:
    server = S3Server()
    connection.send(server.environment)
    while (asked := connection.recv()) != "stop":
        connection.send(server.requests if asked == "requests" else sum(os.times()[:2]))
    server.close()


def _processor_s(server: Connection) -> float:
    """Seconds of processor that the server has taken."""
    server.send("processor")
    return server.recv()


if __name__ == "__main__":
    app(prog_name="python -m tests.load.store_polling")
