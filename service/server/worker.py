"""One worker process: loads the models and serves the application, alone or under a supervisor."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NoReturn

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
    notify_workers: Callable[[], None] = lambda: None,
    shared_folder: str | None = None,
) -> None:
    """Serves the models and versions of the settings until SIGTERM or SIGINT; polls the store at once on SIGHUP.

    `listener` is a bound socket to accept from, `connections` the receiving end of a supervisor's channel. `place`, 0
    to workers - 1, and `shared_folder` are those of this worker among several; `notify_workers` makes all of them poll
    the store. `on_ready` is called with what is served when requests can be. Raises DigitsError for a store that has
    nothing to serve or cannot be read, and OSError for a socket that cannot be listened on.
    """
    signal.signal(signal.SIGTERM, _exit_now)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the store has yet to be read
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
    from service.server.draining_server import DrainingServer
    from service.state import make_state

    metrics, registry = Metrics(shared_folder), ModelRegistry()
    try:
        recent = RecentPredictions(settings.recent_predictions, place, shared_folder)
        watcher = StoreWatcher(Loader(settings, metrics), registry, metrics, settings.poll_interval_s)
        watcher.start()
    except OSError as error:
        raise DigitsError(str(error)) from error
    state = make_state(
        settings, registry=registry, watcher=watcher, metrics=metrics, recent=recent, notify_workers=notify_workers
    )
    served = registry.resolve()
    server = DrainingServer(
        create_app(state), state, lambda: on_ready(f"{served.name} version {served.version}"), connections, watcher.wake
    )
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _ignore)
    server.run(sockets=[listener] if listener else [])
    recent.close()


def run_in_process(settings: ServiceSettings, on_ready: Callable[[str], None], **arguments: Any) -> None:
    """As `run_worker`, in a new process: logs are configured first."""
    from service.observability.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    run_worker(settings, on_ready, **arguments)


def _exit_now(*_: object) -> NoReturn:
    """Ends the process with 0: nothing is accepted yet, and a library's callback could swallow an exception."""
    os._exit(0)


def _ignore(*_: object) -> None:
    """No-op: uvicorn raises a signal again after the drain, which would end the process with a code other than 0."""
