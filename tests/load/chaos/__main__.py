"""`python -m tests.load.chaos`: 64 clients that know their answers, and a service that is disturbed all the time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import numpy as np
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress

from tests.load.chaos.clients import Client, Outcomes
from tests.load.chaos.disturbances import Disturbances, small_disk
from tests.load.chaos.fuzz import Fuzzed, fuzz
from tests.load.chaos.requests import Answers, corrections, good_requests, refused_requests
from tests.support.postgres import running_postgres
from tests.support.service_process import running, workers_of
from tests.support.small import QUICK, TINY, nobody_watching
from tests.support.variants import publish_variant
from training import mnist
from training.fitting.job import run
from training.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.load.chaos.clients import Lost
    from tests.load.chaos.disturbances import Ending
    from tests.support.postgres import Postgres

MODEL = "tiny"
VARIETY = 200
"""Different good requests."""
WARM_SHARE = 0.15
"""Share of the run after which memory is measured for the first time."""
SCRAPE_S = 5.0
GRACE_S = 0.5
LIMIT_LAG_S = 0.1
LIMIT_GROWTH = 0.05
app = typer.Typer(add_completion=False)
console = Console(stderr=True)


class Watched:
    """What is measured of the service while it runs."""

    def __init__(self, url: str, pids: Any) -> None:
        self._url, self._pids = url, pids
        self.longest_lag_s = 0.0
        self.lags: dict[float, float] = {}

    def scrape(self) -> None:
        """Reads the lag of the event loops; a worker that is killed takes its longest lag with it."""
        with contextlib.suppress(httpx.HTTPError):
            text = httpx.get(f"{self._url}/metrics", timeout=30).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == "digits_event_loop_longest_lag_seconds":
                        self.longest_lag_s = max(self.longest_lag_s, sample.value)
                    elif sample.name == "digits_event_loop_lag_seconds_bucket":
                        self.lags[float(sample.labels["le"])] = sample.value

    def lag_below_s(self, share: float) -> float:
        """The bound of the bucket below which this share of the lags is."""
        total = self.lags.get(float("inf"), 0.0)
        return next((bound for bound, count in sorted(self.lags.items()) if count >= share * total), float("nan"))

    def resident_mb(self) -> list[int]:
        """Resident memory of each worker, the oldest first."""
        return [_resident_mb(pid) for pid in sorted(self._pids())]


def _resident_mb(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 2**20
    return 0


@app.command(epilog="Example:  python -m tests.load.chaos --minutes 2 --json chaos.json")
def main(
    minutes: Annotated[float, typer.Option(help="How long the clients ask.")] = 10.0,
    clients: Annotated[int, typer.Option(help="How many clients.")] = 64,
    pause_ms: Annotated[float, typer.Option(help="Pause of a client between two requests, on average.")] = 300.0,
    disturb_s: Annotated[float, typer.Option(help="Seconds between two disturbances; 0 disturbs nothing.")] = 5.0,
    fuzzed: Annotated[
        int, typer.Option(help="How many fuzzed requests follow, to a service that is left alone.")
    ] = 50_000,
    seed: Annotated[int, typer.Option(help="Chooses requests.")] = 0,
    output: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Exit code 0: no wrong answer, nothing lost but what was in flight in a killed worker, bounded lag and memory."""
    with small_disk() as disk, contextlib.ExitStack() as stack:
        folder = disk or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = Store(folder / "store")
        digits = mnist.train().take(np.arange(4000))
        run(store, MODEL, TINY, QUICK, digits, source="MNIST", resume=False, watching=nobody_watching)
        versions = [1, publish_variant(store, MODEL, 0.5)]
        answers = Answers(store, MODEL, versions)
        postgres = _postgres(stack)
        (folder / "tmp").mkdir()
        environment = {
            "TMPDIR": str(folder / "tmp"),
            "DIGITS_POLL_INTERVAL_S": "1",
            "DIGITS_FEEDBACK_URL": postgres.new_database() if postgres else f"sqlite:///{folder}/feedback.sqlite3",
        }
        requests = good_requests(answers, seed, VARIETY), refused_requests(MODEL), corrections(answers)
        figures: dict[str, Any] = {}
        if minutes:
            with running(store, **environment) as (process, url), _drained(process) as log:
                watched, outcomes = Watched(url, lambda: workers_of(process)), Outcomes()
                disturbances = Disturbances(process, store, MODEL, disk, postgres)
                memory = _chaos(
                    url, watched, outcomes, disturbances, requests, minutes * 60, clients, pause_ms, disturb_s
                )
                figures |= _figures(outcomes, disturbances, watched, memory) | {"log": _said(log)}
        if fuzzed:
            with running(store, **environment) as (process, url), _drained(process), Progress(console=console) as bar:
                task = bar.add_task("fuzzed requests", total=fuzzed)
                watched = Watched(url, lambda: workers_of(process))
                seeds = [*requests[0], *requests[1], *requests[2]]
                port = httpx.URL(url).port or 0
                found = asyncio.run(fuzz(port, seeds, fuzzed, seed, lambda _: bar.advance(task)))
                watched.scrape()
                figures["fuzzed"] = _fuzz_figures(found, watched)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    if output:
        output.write_text(text + "\n")
    typer.echo(text)
    raise typer.Exit(0 if _is_good(figures) else 1)


def _postgres(stack: contextlib.ExitStack) -> Postgres | None:
    try:
        return stack.enter_context(running_postgres())
    except FileNotFoundError as error:
        console.print(f"without PostgreSQL: {error}")
        return None


@contextlib.contextmanager
def _drained(process: Any) -> Iterator[list[str]]:
    """Reads what the service writes, so that it never waits for that."""
    kept: list[str] = []
    readers = [
        threading.Thread(target=lambda pipe=pipe: kept.extend(pipe), daemon=True)
        for pipe in (process.stdout, process.stderr)
    ]
    for reader in readers:
        reader.start()
    yield kept


def _chaos(
    url: str,
    watched: Watched,
    outcomes: Outcomes,
    disturbances: Disturbances,
    requests: tuple[list, list, list],
    seconds: float,
    clients: int,
    pause_ms: float,
    disturb_s: float,
) -> tuple[list[int], list[int]]:
    """Runs clients and disturbances; returns resident memory of the workers when warm, and at the end."""
    began_s = time.monotonic()
    port = httpx.URL(url).port or 0

    def stopped() -> bool:
        return time.monotonic() - began_s > seconds

    async def everybody() -> None:
        made = [Client(port, outcomes, *requests, seed=number) for number in range(clients)]
        await asyncio.gather(*(client.run(stopped, pause_ms / 1000) for client in made))

    threads = [threading.Thread(target=asyncio.run, args=(everybody(),))]
    if disturb_s:
        threads.append(threading.Thread(target=disturbances.run, args=(stopped, disturb_s)))
    for thread in threads:
        thread.start()
    warm: list[int] = []
    with Progress(console=console) as bar:
        task = bar.add_task("chaos", total=seconds)
        while not stopped():
            time.sleep(SCRAPE_S)
            watched.scrape()
            bar.update(task, completed=time.monotonic() - began_s)
            if not warm and time.monotonic() - began_s > WARM_SHARE * seconds:
                warm = watched.resident_mb()
    for thread in threads:
        thread.join()
    watched.scrape()
    return warm, watched.resident_mb()


def _figures(
    outcomes: Outcomes, disturbances: Disturbances, watched: Watched, memory: tuple[list[int], list[int]]
) -> dict[str, Any]:
    unexplained = [lost for lost in outcomes.lost if not was_in_flight(lost, disturbances.endings)]
    by_status = Counter[int]()
    for (_, status), count in outcomes.answers.items():
        by_status[status] += count
    return {
        "answers": sum(outcomes.answers.values()),
        "by status": dict(sorted(by_status.items())),
        "disturbances": disturbances.done,
        "wrong": outcomes.wrong[:10] or 0,
        "lost in a killed worker": len(outcomes.lost) - len(unexplained),
        "lost otherwise": [repr(lost) for lost in unexplained[:10]] or 0,
        "connections that were closed while idle": outcomes.reconnected,
        "slowest answer, s": round(outcomes.slowest_s, 2),
        "loop lag p99 below, s": watched.lag_below_s(0.99),
        "loop lag longest, s": round(watched.longest_lag_s, 3),
        "resident MB of the workers when warm": memory[0],
        "resident MB of the workers at the end": memory[1],
    }


def _said(log: list[str]) -> dict[str, int]:
    """What the service has logged and how often, without numbers."""
    events = (json.loads(line).get("event", line) if line.startswith("{") else line for line in log)
    return dict(Counter(re.sub(r"\d+", "#", event.strip())[:150] for event in events).most_common(25))


def _fuzz_figures(found: Fuzzed, watched: Watched) -> dict[str, Any]:
    return {
        "by status": dict(sorted(found.statuses.items())),
        "failures": found.failures[:10] or 0,
        "slowest, s": round(found.slowest_s, 2),
        "loop lag p99 below, s": watched.lag_below_s(0.99),
        "loop lag longest, s": round(watched.longest_lag_s, 3),
        "resident MB of the workers": watched.resident_mb(),
    }


def was_in_flight(lost: Lost, endings: list[Ending]) -> bool:
    """Whether a request was lost while a worker was killed."""
    return any(lost.began_s <= end.ended_s + GRACE_S and lost.ended_s >= end.began_s for end in endings)


def _is_good(figures: dict[str, Any]) -> bool:
    fuzzed = figures.get("fuzzed", {})
    warm, last = (figures.get(f"resident MB of the workers {when}", [0]) for when in ("when warm", "at the end"))
    return (
        not figures.get("wrong")
        and not figures.get("lost otherwise")
        and figures.get("loop lag longest, s", 0) <= LIMIT_LAG_S
        and max(last) <= max(warm) * (1 + LIMIT_GROWTH)
        and not fuzzed.get("failures")
    )


if __name__ == "__main__":
    app(prog_name="python -m tests.load.chaos")
