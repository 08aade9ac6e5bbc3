"""Fakes for the tests of the service: a predictor whose answers say which picture they belong to, and a server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import numpy as np

from service.app import create_app
from service.models.loaded_version import LoadedVersion
from service.models.loader import Plan
from service.models.registry import LoadedModel, ModelRegistry
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.server.draining_server import DrainingServer
from service.settings import ServiceSettings
from service.version_policy import choose
from training.answers import ACCEPTED, COLUMNS, CONFIDENCE, DIGIT, NOT_A_DIGIT, UNCERTAIN, VERDICT, Answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

JSON = {"Content-Type": "application/json"}
ALIASES = {"lenet": {"champion": 3, "stable": 3, "previous": 2}, "mlp": {"champion": 1}}
CARD = {"model": "lenet", "layers": [], "validation": {"error": 0.0044}}
TRACES = 2**16
VERDICTS = {8: UNCERTAIN, 9: NOT_A_DIGIT}
"""Of digits that FakePredictor does not accept."""


def picture(digit: int, trace: int = 0) -> np.ndarray:
    """A picture uint8 [28, 28] that FakePredictor takes for the digit; the trace, below 65536, comes back."""
    image = np.zeros((28, 28), np.uint8)
    image[0, 0], image[0, 1], image[0, 2] = digit, trace % 256, trace // 256
    return image


def trace_of(confidence: float) -> int:
    """The trace of the picture that an answer belongs to."""
    return round((confidence - 0.5) * 4 * TRACES)


def columns_of(probabilities: np.ndarray) -> np.ndarray:
    """What a network computes of pictures with these probabilities [n, 10], of no certainty, novelty or ink."""
    columns = np.zeros((len(probabilities), COLUMNS), np.float32)
    columns[:, :10] = probabilities
    columns[:, CONFIDENCE], columns[:, DIGIT] = probabilities.max(axis=1), probabilities.argmax(axis=1)
    return columns


class FakePredictor:
    """Reads digit and trace from the first three pixels. Waits while `gate` is closed, raises for a poison digit."""

    def __init__(self, name: str = "lenet", version: int = 3, *, row_sizes: tuple[int, ...] = (1, 4, 16)) -> None:
        self.name, self.version, self.card, self.row_sizes = name, version, CARD, row_sizes
        self.reference = None
        self.gate = threading.Event()
        self.gate.set()
        self.poison: int | None = None
        self.nan: int | None = None
        self.batches: list[int] = []

    def padded(self, rows: int) -> int:
        return next(size for size in self.row_sizes if size >= rows)

    def columns(self, images: np.ndarray) -> np.ndarray:
        probabilities = self(images)
        digits = probabilities.argmax(axis=1)
        verdicts = [VERDICTS.get(digit, ACCEPTED) for digit in digits.tolist()]
        columns = columns_of(probabilities)
        columns[:, VERDICT] = np.where(np.isfinite(probabilities).all(axis=1), verdicts, np.nan)
        return columns

    def read(self, columns: np.ndarray) -> Answers:
        return Answers(columns)

    def prediction_sets(self, probabilities: np.ndarray, coverage: float) -> np.ndarray:
        """The two most probable digits."""
        return probabilities >= np.sort(probabilities, axis=1)[:, [-2]]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        assert images.shape[1:] == (28, 28)
        self.batches.append(len(images))
        assert self.gate.wait(10)
        digits = images[:, 0, 0] % 10
        if self.poison in digits:
            raise ValueError(f"poison: {self.poison}")
        confidence = 0.5 + (images[:, 0, 1] + 256.0 * images[:, 0, 2]) / 4 / TRACES
        probabilities = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1).astype(np.float32)
        probabilities[np.arange(len(images)), digits] = confidence
        if self.nan is not None:
            probabilities[digits == self.nan] = np.nan
        return probabilities


class Shelf:
    """A source of versions: what is to be loaded changes under its hand, and an exception is a version that fails."""

    def __init__(self, models: dict[str, dict[int, FakePredictor | Exception]], metrics: Metrics | None = None) -> None:
        self.on_it = models
        self.aliases = {name: {"champion": min(versions)} for name, versions in models.items()}
        self.policy = "champion"
        self.loads: list[tuple[str, int]] = []
        self.plan_error: Exception | None = None
        self.metrics = metrics or Metrics()

    def models(self) -> list[str]:
        return [*self.on_it]

    def plan(self, model: str) -> Plan:
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


def registry_with(*predictors: FakePredictor, metrics: Metrics, queue_limit_rows: int) -> ModelRegistry:
    """What is loaded, with fakes in place of networks."""
    models: dict[str, LoadedModel] = {}
    for predictor in predictors:
        version = LoadedVersion.start(predictor, metrics, queue_limit_rows=queue_limit_rows)
        before = models[version.name].versions if version.name in models else {}
        models[version.name] = LoadedModel({**before, version.version: version}, ALIASES.get(version.name, {}), version)
    for name, model in models.items():  # the champion, or where there is none the last one
        champion = model.versions.get(model.aliases.get("champion", 0), model.default)
        models[name] = model._replace(default=champion)
    return ModelRegistry(models)


def app_with(*predictors: FakePredictor, feedback_url: str = "", **settings: int) -> FastAPI:
    """The application, with fakes in place of networks."""
    chosen, metrics = ServiceSettings(feedback_url=feedback_url, **settings), Metrics()
    live = registry_with(*predictors, metrics=metrics, queue_limit_rows=chosen.queue_limit_rows)
    return create_app(chosen, live, metrics)


def app_following(shelf: Shelf, **settings: object) -> FastAPI:
    """The application, following a shelf."""
    chosen, metrics = ServiceSettings(**settings), Metrics()
    shelf.metrics = metrics
    follower = StoreWatcher(shelf, metrics, chosen.poll_interval_s)
    return create_app(chosen, follower.start(), metrics, follower)


@contextlib.asynccontextmanager
async def client_of(app: FastAPI):
    """A client that talks to the application without a socket; the application's life is the block."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[tuple[str, int]]:
    """The application under the real server on a free port: (host, port)."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        ready = threading.Event()
        server = DrainingServer(app, app.state.settings, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(10)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def eventually(condition, timeout_s: float = 5.0) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.002)
