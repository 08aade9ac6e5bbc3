"""Contenders as processes that are told when to train, and rounds in which each of them does, one after the other."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.project import ROOT
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

NETWORKS = ("lenet", "mlp_deep", "mlp")
PAUSE_S = 0.3
"""Threads that a library keeps spinning after its work have gone to sleep by then."""


class Contender:
    """A process that speaks as tests/load/peers/contender.py says; use as a context manager."""

    def __init__(self, python: Path, module: str, data: Path, *arguments: str) -> None:
        self._command = [str(python), "-m", module, str(data), *arguments]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            self._process = stack.enter_context(
                subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    text=True,
                )
            )
            stack.callback(self._process.kill)
            said = self._listen()
            self.library: str = said["library"]
            self.networks: list[str] = said["networks"]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(BrokenPipeError):  # of what it did not live to read
            self._stack.close()

    def seconds(self, network: str) -> float:
        """Has it train a network for an epoch over its pictures. Raises DigitsError when it fails."""
        time.sleep(PAUSE_S)
        with suppress(BrokenPipeError):  # what it died of is read below
            self._process.stdin.write(f"{network}\n")  # type: ignore[union-attr] # it is a pipe
            self._process.stdin.flush()  # type: ignore[union-attr]
        return float(self._listen()["seconds"])

    def _listen(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            said = (line + self._errors.read()).strip().splitlines() or ["nothing"]
            raise DigitsError(f"{self._command[2]} failed, its last words: {said[-1]}") from None


@dataclass(frozen=True)
class Standing:
    """What a contender took, by network: seconds of every round."""

    library: str
    seconds: dict[str, list[float]]

    @property
    def medians(self) -> dict[str, float]:
        """Seconds by network."""
        return {network: statistics.median(seconds) for network, seconds in self.seconds.items()}


def compete(
    contenders: Sequence[Contender], rounds: int, scale: float, watch: Callable[[str, str], None]
) -> list[Standing]:
    """Rounds in which each contender trains each of its networks, after one that is not counted, for compilation.

    Seconds are multiplied by `scale`; `watch` is told of a library and a network before each measurement.
    """
    standings = [Standing(contender.library, {name: [] for name in contender.networks}) for contender in contenders]
    for number in range(rounds + 1):
        for network in NETWORKS:
            for contender, standing in zip(contenders, standings, strict=True):
                if network in contender.networks:
                    watch(contender.library, network)
                    seconds = contender.seconds(network)
                    if number:
                        standing.seconds[network].append(seconds * scale)
    return standings
