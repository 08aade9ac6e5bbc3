"""Who is measured: the service, two floors, plain FastAPI with ONNX Runtime, and frameworks that serve models."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.load.environment import python_with
from tests.load.questions import bentoml, digits_in, open_inference, plain
from tests.load.server import Server, ServerFailed, free_port
from training.errors import DigitsError

if TYPE_CHECKING:
    from tests.load.champion import Champion
    from tests.load.questions import Dialect
    from tests.load.workloads import Form

SERVERS = Path(__file__).parent / "servers"
CHECKED = 64
"""Pictures that a server must read as the predictor does before it is measured."""
DIGITS, WORKERS, RAW_ASGI, FLOOR, ONNX = "digits", "digits_workers", "raw_asgi", "fastapi_floor", "fastapi_onnx"
OURS = (DIGITS, WORKERS)
FRAMEWORKS = ("litserve", "bentoml", "mlserver", "ray_serve")


class WrongDigits(DigitsError):
    """A server does not see the digits that the predictor sees: nothing that it is compared in would mean anything."""


@dataclass(frozen=True)
class Contestant:
    """A server. `key` names the folder in servers/ with its code and, unless it runs in ours, its requirements."""

    key: str
    name: str
    package: str = ""
    """What its version is that of; nothing for what runs in the project's own environment."""
    dialect: Dialect = plain
    answers: bool = True
    """Whether it answers with digits; floors do not."""
    options: tuple[str, ...] = ()
    """Of `python -m service`."""

    @property
    def title(self) -> str:
        """Its name with the version that is pinned."""
        if not self.package:
            return self.name
        found = re.search(rf"^{self.package}(?:\[\w+\])?==(\S+)", self._requirements.read_text(), re.MULTILINE)
        return f"{self.name} {found[1]}" if found else self.name

    @property
    def _requirements(self) -> Path:
        return SERVERS / self.key / "requirements.txt"

    def prepare(self) -> Path:
        """The interpreter that it runs on, set up when need be. Raises DigitsError when it cannot be installed."""
        return python_with(self.key, self._requirements) if self.package else Path(sys.executable)

    def server(self, champion: Champion) -> Server:
        """Its server, not started yet."""
        python, port = str(self.prepare()), free_port()
        if self.key in OURS:
            options = ("--model", champion.model, "--store", champion.store, "--port", str(port), *self.options)
            return Server((python, "-m", "service", *options), port)
        module = f"{self.key}.server" if self.package else f"floors.{self.key}"
        return Server((python, "-m", f"tests.load.servers.{module}", str(champion.network), str(port)), port)

    def check(self, server: Server, champion: Champion) -> dict[Form, str]:
        """The forms of questions that the server refuses, and how: of these, it may only refuse bytes.

        Raises WrongDigits when its digits are not the predictor's, and ServerFailed when it refuses JSON.
        """
        refused: dict[Form, str] = {}
        if not self.answers:
            return refused
        pictures, wanted = champion.pictures[:CHECKED], champion.digits[:CHECKED]
        for form in ("one", "many", "raw"):
            parts = pictures[:, None] if form == "one" else pictures[None]
            try:
                found = [digit for part in parts for digit in digits_in(server.ask(self.dialect(form, part)))]
            except ServerFailed as error:
                if form != "raw":
                    raise
                refused[form] = str(error)
                continue
            if found != wanted:
                wrong = sum(a != b for a, b in zip(found, wanted, strict=False))
                raise WrongDigits(
                    f"{self.title} reads {wrong} of {CHECKED} pictures (form: {form}, {len(found)} answers) otherwise "
                    "than the predictor, want none"
                )
        return refused


CONTESTANTS = (
    Contestant(DIGITS, "digits"),
    Contestant(WORKERS, "digits, 2 workers", options=("--workers", "2")),
    Contestant(RAW_ASGI, "raw ASGI", answers=False),
    Contestant(FLOOR, "FastAPI floor", answers=False),
    Contestant(ONNX, "FastAPI + ONNX Runtime", package="onnxruntime"),
    Contestant("litserve", "LitServe", package="litserve"),
    Contestant("bentoml", "BentoML", package="bentoml", dialect=bentoml),
    Contestant("mlserver", "MLServer", package="mlserver", dialect=open_inference),
    Contestant("ray_serve", "Ray Serve", package="ray"),
)
