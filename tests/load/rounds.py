"""Rounds in which each contestant's server does each workload, one server after the other."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from tests.load.contestants import WrongDigits
from tests.load.loop import LOOP, TITLE, loop
from tests.load.workloads import BYTES, WORKLOADS, Form
from tests.load.wrk import Measurement, load, wrk
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.load.champion import Champion
    from tests.load.contestants import Contestant

    Watch = Callable[[str, str], None]
    """Told a contestant and what it does before it does that."""

WARM_UP_S = 1


@dataclass
class Standing:
    """What was measured of a contestant: by workload, a measurement of each round."""

    key: str
    title: str
    rounds: dict[str, list[Measurement]] = field(default_factory=dict)
    refused: dict[Form, str] = field(default_factory=dict)
    """Forms of questions that it does not take, and what it says to them."""
    failure: str = ""
    """Why it could not be installed, started or asked."""

    @property
    def medians(self) -> dict[str, Measurement]:
        """By workload; errors are not a median but those of all rounds."""
        return {workload: _median(measurements) for workload, measurements in self.rounds.items()}


def compete(
    contestants: Sequence[Contestant], champion: Champion, rounds: int, seconds: int, watch: Watch
) -> list[Standing]:
    """The standings, in the order of the contestants, and last that of the predictor in a loop.

    Each server is started for its turn and ended after it: idle ones would take part, for LitServe and Ray poll. A
    contestant that fails is not tried again. Raises WrongDigits when a server reads pictures otherwise than the
    predictor, and DigitsError when wrk is missing.
    """
    wrk()
    standings = [_prepared(contestant, watch) for contestant in contestants]
    looped = Standing(LOOP, TITLE, {BYTES.name: []})
    for _ in range(rounds):
        for contestant, standing in zip(contestants, standings, strict=True):
            if not standing.failure:
                _turn(contestant, standing, champion, seconds, watch)
        watch(TITLE, BYTES.name)
        looped.rounds[BYTES.name].append(loop(champion, seconds))
    return [*standings, looped]


def _prepared(contestant: Contestant, watch: Watch) -> Standing:
    standing = Standing(contestant.key, contestant.title)
    watch(standing.title, "setting up")
    try:
        contestant.prepare()
    except DigitsError as error:
        standing.failure = " ".join(str(error).split())
    return standing


def _turn(contestant: Contestant, standing: Standing, champion: Champion, seconds: int, watch: Watch) -> None:
    watch(standing.title, "starting")
    try:
        with contestant.server(champion) as server:
            server.wait(contestant.dialect("one", champion.pictures[:1]))
            standing.refused |= contestant.check(server, champion)
            for workload in WORKLOADS:
                if workload.form in standing.refused:
                    continue
                watch(standing.title, workload.name)
                question = contestant.dialect(workload.form, champion.pictures[: workload.rows])
                for length in (WARM_UP_S, seconds):
                    measured = load(server.port, question, workload.rows, workload.clients, length)
                standing.rounds.setdefault(workload.name, []).append(measured)
    except WrongDigits:
        raise
    except DigitsError as error:
        standing.failure = " ".join(str(error).split())


def _median(measurements: Sequence[Measurement]) -> Measurement:
    middle = {
        each.name: statistics.median(getattr(measurement, each.name) for measurement in measurements)
        for each in fields(Measurement)
    }
    return Measurement(**middle | {"errors": sum(measurement.errors for measurement in measurements)})
