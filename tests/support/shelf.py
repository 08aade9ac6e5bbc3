"""A source of model versions in memory, in the place of a store and its loader."""

import threading

from service.models.loaded_version import LoadedVersion
from service.models.loader import Plan
from service.observability.metrics import Metrics
from service.version_policy import choose
from tests.support.fake_predictor import FakePredictor


class Shelf:
    """A source of versions: what is to be loaded changes under its hand, and an exception is a version that fails.

    A plan hangs while the gate is closed.
    """

    def __init__(self, models: dict[str, dict[int, FakePredictor | Exception]], metrics: Metrics | None = None) -> None:
        self.on_it = models
        self.aliases = {name: {"champion": min(versions)} for name, versions in models.items()}
        self.policy = "champion"
        self.loads: list[tuple[str, int]] = []
        self.plan_error: Exception | None = None
        self.plan_waits = True
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0
        self.metrics = metrics or Metrics()

    def wait(self) -> list[str]:
        """Hangs while the gate is closed."""
        self.waiting += 1
        assert self.gate.wait(60)
        self.waiting -= 1
        return self.models()

    def models(self) -> list[str]:
        return [*self.on_it]

    def plan(self, model: str) -> Plan:
        if self.plan_waits:
            self.wait()
        if self.plan_error:
            raise self.plan_error
        aliases = dict(self.aliases[model])
        return Plan(choose(self.policy, sorted(self.on_it[model]), aliases), aliases, aliases["champion"])

    def load(self, model: str, version: int) -> LoadedVersion:
        self.loads.append((model, version))
        predictor = self.on_it[model][version]
        if isinstance(predictor, Exception):
            raise predictor
        return LoadedVersion.start(predictor, self.metrics, queue_limit_rows=64)
