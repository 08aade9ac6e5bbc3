"""One process that loads a model and serves it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

from training.errors import DigitsError
from training.processors import keep_to_limit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from service.settings import ServiceSettings


def run_worker(
    settings: ServiceSettings,
    on_ready: Callable[[str], None],
    *,
    listener: socket.socket | None = None,
    connections: socket.socket | None = None,
    place: int = 0,
    tell_others: Callable[[], None] = lambda: None,
) -> None:
    """Serves the models and versions of the settings until SIGTERM or SIGINT; looks at the store at once on SIGHUP.

    It accepts at `listener`, a bound socket, and takes what is handed out at `connections`, an end of a channel.
    `place` tells it from the others that serve together. `on_ready` is told what is served when it is. Raises
    DigitsError for a store that has nothing to serve or cannot be read, and OSError for a socket that cannot be
    listened on.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is loaded first is read after this
    keep_to_limit(settings.workers)

    from training.store import Store, UnknownModel

    try:
        Store(settings.store).versions(settings.model)  # before seconds go into loading JAX
    except UnknownModel as error:
        hint = f"to train and publish one: python -m training fit {settings.model} --quick"
        raise DigitsError(f"{error}; {hint}") from None

    from service.app import create_app
    from service.feedback.recent_predictions import RecentPredictions
    from service.models.loader import Loader
    from service.models.registry import ModelRegistry
    from service.models.store_watcher import StoreWatcher
    from service.observability.metrics import Metrics
    from service.observability.process_metrics import SHARED_FOLDER
    from service.server.draining_server import DrainingServer
    from service.state import make_state

    metrics, registry = Metrics(), ModelRegistry()
    try:
        recent = RecentPredictions(settings.recent_predictions, place, os.environ.get(SHARED_FOLDER))
        watcher = StoreWatcher(Loader(settings, metrics), registry, metrics, settings.poll_interval_s)
        watcher.start()
    except OSError as error:
        raise DigitsError(str(error)) from error
    state = make_state(
        settings, registry=registry, watcher=watcher, metrics=metrics, recent=recent, notify_workers=tell_others
    )
    served = registry.resolve()
    server = DrainingServer(
        create_app(state), state, lambda: on_ready(f"{served.name} version {served.version}"), connections, watcher.wake
    )
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _stopped)
    server.run(sockets=[listener] if listener else [])
    recent.close()


def _stop(*_: object) -> NoReturn:
    """Ends the process at once: nothing is accepted yet, and an exception could end in some library's callback."""
    os._exit(0)


def _stopped(*_: object) -> None:
    """Does nothing: uvicorn raises the signal again that it has obeyed, and to obey is to exit with 0."""
