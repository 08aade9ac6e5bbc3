"""What the service is to reach, as ratios of medians within one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.load.contestants import DIGITS, FLOOR, FRAMEWORKS, ONNX, WORKERS
from tests.load.loop import LOOP
from tests.load.workloads import BYTES, CROWD, FEW, LONELY, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.load.rounds import Standing
    from tests.load.workloads import Workload

Figure = Literal["requests_per_s", "images_per_s", "p50_ms", "p99_ms"]
NAMES: dict[Figure, str] = {
    "requests_per_s": "requests/s",
    "images_per_s": "images/s",
    "p50_ms": "p50",
    "p99_ms": "p99",
}


@dataclass(frozen=True)
class Goal:
    """A figure of the service, at least or (where it is a time) at most so many times the best of others."""

    workload: Workload
    figure: Figure
    ratio: float
    against: tuple[str, ...]
    whom: str

    @property
    def at_most(self) -> bool:
        """Whether less is better."""
        return self.figure.endswith("_ms")


PEERS = (ONNX, *FRAMEWORKS)
GOALS: dict[str, tuple[Goal, ...]] = {
    DIGITS: (
        Goal(LONELY, "p50_ms", 2.5, (FLOOR,), "the floor's"),
        Goal(LONELY, "p50_ms", 1.0, PEERS, "the best peer's"),
        Goal(FEW, "requests_per_s", 0.75, (FLOOR,), "the floor's"),
        Goal(FEW, "requests_per_s", 4.0, FRAMEWORKS, "the best framework's"),
        Goal(CROWD, "requests_per_s", 0.75, (FLOOR,), "the floor's"),
        Goal(CROWD, "requests_per_s", 4.0, FRAMEWORKS, "the best framework's"),
        Goal(CROWD, "p99_ms", 2.5, (FLOOR,), "the floor's"),
        Goal(NUMBERS, "images_per_s", 2.0, PEERS, "the best peer's"),
        Goal(BYTES, "images_per_s", 1.0, PEERS, "the best peer's"),
        Goal(BYTES, "images_per_s", 0.75, (LOOP,), "the predictor's in a loop"),
    ),
    WORKERS: (
        Goal(FEW, "requests_per_s", 1.0, (FLOOR,), "the floor's"),
        Goal(FEW, "requests_per_s", 6.0, FRAMEWORKS, "the best framework's"),
        Goal(CROWD, "requests_per_s", 1.0, (FLOOR,), "the floor's"),
        Goal(CROWD, "requests_per_s", 6.0, FRAMEWORKS, "the best framework's"),
        Goal(NUMBERS, "images_per_s", 2.0, PEERS, "the best peer's"),
    ),
}
"""By the way to run the service: one process, and two workers for many clients."""


@dataclass(frozen=True)
class Verdict:
    """Whether a goal was met; `met` is None where something was not measured."""

    whose: str
    goal: Goal
    ours: float | None
    theirs: float | None
    reference: str

    @property
    def ratio(self) -> float | None:
        """How many times theirs ours is."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the ratio is on the right side of the goal's."""
        if self.ratio is None:
            return None
        return self.ratio <= self.goal.ratio if self.goal.at_most else self.ratio >= self.goal.ratio

    @property
    def sentence(self) -> str:
        """One line for people."""
        goal = self.goal
        wanted = f"{'at most' if goal.at_most else 'at least'} {goal.ratio:.2f}"
        what = f"{self.whose}: {goal.workload.name}: {NAMES[goal.figure]}"
        if self.ratio is None:
            return f"{what} against {goal.whom}: not measured, wanted {wanted}"
        answer = "met" if self.met else "missed"
        return f"{what} {self.ratio:.2f} times {goal.whom} ({self.reference}), wanted {wanted}: {answer}"


def verdicts(standings: Sequence[Standing]) -> list[Verdict]:
    """On every goal, from the medians, for each way to run the service that was measured."""
    return [_verdict(ours, goal, standings) for ours in standings for goal in GOALS.get(ours.key, ())]


def _verdict(ours: Standing, goal: Goal, standings: Sequence[Standing]) -> Verdict:
    figures = {
        standing.key: (getattr(standing.medians[goal.workload.name], goal.figure), standing.title)
        for standing in standings
        if goal.workload.name in standing.medians
    }
    others = [figures[key] for key in goal.against if key in figures]
    theirs, reference = (min if goal.at_most else max)(others, default=(None, ""))
    figure, _ = figures.get(ours.key, (None, ""))
    return Verdict(ours.title, goal, figure, theirs, reference)
