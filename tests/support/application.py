"""The application with fakes in place of networks, and clients of it: over ASGI, and over a real socket."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING

import httpx

from service.app import create_app
from service.models.loaded_version import LoadedVersion
from service.models.registry import LoadedModel, ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.server.draining_server import DrainingServer
from service.settings import ServiceSettings
from service.state import make_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

    from tests.support.fake_predictor import FakePredictor
    from tests.support.shelf import Shelf

JSON = {"Content-Type": "application/json"}
ALIASES = {"lenet": {"champion": 3, "stable": 3, "previous": 2}, "mlp": {"champion": 1}}


NAMES = {
    "model": "lenet",
    "name": "lenet",
    "version": "3",
    "label": "champion",
    "id": "1",
    "verb": "classify",
    "path": "",
}
"""A value of each parameter of a route's path."""


def path_of(template: str, **names: str) -> str:
    """A path of a route, with values in place of its parameters, those of NAMES unless told otherwise."""
    return re.sub(r":\w+}", "}", template).format(**NAMES | names)


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
    registry = registry_with(*predictors, metrics=metrics, queue_limit_rows=chosen.queue_limit_rows)
    return create_app(make_state(chosen, registry=registry, metrics=metrics))


def app_following(shelf: Shelf, **settings: object) -> FastAPI:
    """The application, following a shelf that it loads when it starts."""
    chosen, metrics = ServiceSettings(**settings), Metrics()
    shelf.metrics = metrics
    registry = ModelRegistry()
    watcher = StoreWatcher(shelf, registry, metrics, StoreThread(chosen.load_timeout_s), chosen.poll_interval_s)
    return create_app(make_state(chosen, registry=registry, watcher=watcher, metrics=metrics))


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
def served(
    app: FastAPI, connections: socket.socket | None = None, **hooks: Callable[[], None]
) -> Iterator[tuple[str, int]]:
    """The application under the real server on a free port: (host, port); with the channel of a supervisor, if any."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        ready = threading.Event()
        server = DrainingServer(app, app.service, ready.set, connections, **hooks)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(10)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
