"""`python -m tests.load.overload`: what the service does when four times as much is asked as it can answer."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from tests.load.champion import champion_of
from tests.load.contestants import CONTESTANTS
from tests.load.environment import Others, machine, warn_of_others
from tests.load.open_loop import UNANSWERED, UNASKED, Outcome, offer
from tests.load.server import adopt_orphans
from tests.load.workloads import BYTES
from tests.load.wrk import load, wrk
from training.commands.console import friendly_errors, stderr, stdout
from training.commands.options import JsonOption, ModelArgument, StoreOption, default_model, default_store
from training.errors import DigitsError

if TYPE_CHECKING:
    from tests.load.champion import Champion
    from tests.load.questions import Question
    from tests.load.server import Server

CLIENTS = (4, 8, 16)
"""The sustainable rate is the best that so many clients get, who each ask again as soon as they are answered."""
CALIBRATION_S = 5
DEADLINE_MS = 1000
HEALTH_DEADLINE_MS = 100
WANTED_GOODPUT, MOST_GROWTH = 0.90, 1.10
ANSWERS = ("200", "503", "504")

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Overload:
    """What was offered, and what came of it. Rates are requests of 256 pictures a second."""

    sustainable_per_s: float
    offered_per_s: float
    seconds: int
    ends: dict[str, int]
    goodput_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    resident_mb: tuple[float, float, float]
    """At the start, in the middle and at the end."""
    health_ms: float | None
    """The longest time that an answer of `/healthz` took; None if one failed."""
    longest_delay_ms: float
    """How far the generator itself fell behind, at worst."""

    @property
    def goodput(self) -> float:
        """As a share of the sustainable rate."""
        return self.goodput_per_s / self.sustainable_per_s

    @property
    def lost(self) -> int:
        """Requests that got none of the answers that they may get."""
        return sum(count for end, count in self.ends.items() if end not in ANSWERS)

    @property
    def growth(self) -> float:
        """How many times its memory at the start the service has at the end."""
        return self.resident_mb[2] / self.resident_mb[0]

    @property
    def goals(self) -> dict[str, bool]:
        """What was wanted, with what was found, and whether the two agree."""
        p99 = "unknown" if self.p99_ms is None else f"{self.p99_ms:,.0f} ms"
        health = "not always answered" if self.health_ms is None else f"answered within {self.health_ms:,.0f} ms"
        return {
            f"goodput {self.goodput:.2f} of the sustainable rate, wanted at least {WANTED_GOODPUT:.2f}": (
                self.goodput >= WANTED_GOODPUT
            ),
            f"{self.lost:,} requests without an answer of {', '.join(ANSWERS)}, wanted none": self.lost == 0,
            f"p99 of accepted requests {p99}, wanted at most {DEADLINE_MS:,} ms": (
                self.p99_ms is not None and self.p99_ms <= DEADLINE_MS
            ),
            f"memory at the end {self.growth:.2f} times that at the start, wanted at most {MOST_GROWTH:.2f}": (
                self.growth <= MOST_GROWTH
            ),
            f"/healthz {health}, wanted at most {HEALTH_DEADLINE_MS:,} ms": (
                self.health_ms is not None and self.health_ms <= HEALTH_DEADLINE_MS
            ),
        }


@app.command(epilog="Example:  python -m tests.load.overload lenet --seconds 10")
def main(
    model: ModelArgument = "",
    store: StoreOption = "",
    seconds: Annotated[int, typer.Option(min=1, help="How long more is asked than can be answered.")] = 60,
    times: Annotated[float, typer.Option(min=0.1, help="How many times the sustainable rate is offered.")] = 4.0,
    keep: Annotated[Path | None, typer.Option(help="Write all figures to this file, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rate that digits sustains, offer several times as much at a steady rate, and count the answers.

    A request is 256 pictures as bytes. Of all kinds this one costs the service most and the generator least, so that
    the load, which runs on the same processors, is not what gives out.
    """
    with friendly_errors():
        wrk()
        adopt_orphans()
        found, others = machine(), Others()
        with champion_of(store or default_store(), model or default_model()) as champion:
            overload = _overload(champion, seconds, times)
        share = others.share
        answer = {
            "machine": found,
            "share_of_others": share,
            **asdict(overload),
            "goodput": overload.goodput,
            "goals": overload.goals,
        }
        if keep is not None:
            keep.write_bytes(msgspec.json.format(msgspec.json.encode(answer)) + b"\n")
    if as_json:
        typer.echo(msgspec.json.encode(answer))
        return
    for line in _lines(overload):
        stdout.print(line, soft_wrap=True)
    for goal, met in overload.goals.items():
        stdout.print(f"{goal}: {'met' if met else 'missed'}", style="green" if met else "red", soft_wrap=True)
    warn_of_others(share)


def _overload(champion: "Champion", seconds: int, times: float) -> Overload:
    digits = CONTESTANTS[0]
    plain = digits.dialect("raw", champion.pictures[: BYTES.rows])
    question = plain._replace(headers={"X-Timeout-Ms": str(DEADLINE_MS)})
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        digits.server(champion) as server,
        Progress(*columns, console=stderr, transient=True, refresh_per_second=1) as progress,
    ):
        task = progress.add_task("finding the sustainable rate", total=None)
        server.wait(digits.dialect("one", champion.pictures[:1]))
        if "raw" in (refused := digits.check(server, champion)):
            raise DigitsError(f"the service does not take bytes: {refused['raw']}")
        sustainable = max(_rate(server, plain, clients) for clients in CLIENTS)
        resident = [server.resident_mb()]
        progress.update(task, description=f"offering {times:g} times as much")
        outcome, health = offer(
            server.port, question, times * sustainable, seconds, lambda: resident.append(server.resident_mb())
        )
        resident.append(server.resident_mb())
    return _summed_up(outcome, health, sustainable, times, seconds, resident)


def _rate(server: "Server", question: "Question", clients: int) -> float:
    for length in (1, CALIBRATION_S):
        measured = load(server.port, question, BYTES.rows, clients, length)
    return measured.requests_per_s


def _summed_up(
    outcome: Outcome, health: Outcome, sustainable: float, times: float, seconds: int, resident: list[float]
) -> Overload:
    p50, p99 = (
        float(np.percentile(outcome.seconds_of_200, q)) * 1e3 if outcome.seconds_of_200 else None for q in (50, 99)
    )
    return Overload(
        sustainable_per_s=sustainable,
        offered_per_s=times * sustainable,
        seconds=seconds,
        ends={end: outcome.ends[end] for end in sorted({*outcome.ends, *ANSWERS, UNANSWERED, UNASKED})},
        goodput_per_s=outcome.good_in_time / seconds,
        p50_ms=p50,
        p99_ms=p99,
        resident_mb=(resident[0], resident[1], resident[2]),
        health_ms=max(health.seconds_of_200) * 1e3 if health.ends["200"] == health.asked else None,
        longest_delay_ms=outcome.longest_delay_s * 1e3,
    )


def _lines(overload: Overload) -> list[str]:
    images = overload.sustainable_per_s * BYTES.rows
    ends = ", ".join(f"{count:,} x {end}" for end, count in overload.ends.items())
    memory = " MB, ".join(f"{megabytes:,.0f}" for megabytes in overload.resident_mb)
    lines = [
        f"sustainable: {overload.sustainable_per_s:,.1f} requests/s of {BYTES.rows} images, {images:,.0f} images/s",
        f"offered: {overload.offered_per_s:,.1f} requests/s for {overload.seconds} s; the generator was at worst "
        f"{overload.longest_delay_ms:,.0f} ms late",
        f"answers: {ends}",
        f"resident memory at the start, in the middle, at the end: {memory} MB",
    ]
    if overload.p50_ms is not None:
        lines.insert(3, f"accepted requests: p50 {overload.p50_ms:,.0f} ms, p99 {overload.p99_ms:,.0f} ms")
    return lines


if __name__ == "__main__":
    app(prog_name="python -m tests.load.overload")
