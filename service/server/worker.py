"""One worker process: loads the models and serves the application, alone or under a supervisor."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

from service.server.socket_passing import send_heartbeat
from training.errors import DigitsError
from training.processors import keep_to_limit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

    from service.feedback.recent_predictions import RecentPredictions
    from service.settings import ServiceSettings

TICK_S: Final = 0.2
LATE_END_GRACE_S: Final = 8.0
"""Time beyond drain pause and drain timeout that the process has for its end."""
END_GRACE_S: Final = 2.0
"""How long the process may take for its end after the drain: the event loop and Python wait for threads."""


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
    the store. `on_ready` is called with what is served when requests can be. A signal before that ends the process at
    once with 0. Raises DigitsError for a store that has nothing to serve, cannot be read or does not answer, and
    OSError for a socket that cannot be listened on.
    """
    for stop in (signal.SIGTERM, signal.SIGINT):  # before the server handles them, and after it
        signal.signal(stop, _exit_now)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the store has yet to be read
    keep_to_limit(settings.workers)

    from service.models.store_thread import StoreThread
    from training.store import Store, UnknownModel

    thread = StoreThread(settings.load_timeout_s)
    try:  # before seconds go into loading JAX
        asyncio.run(_alive(thread.call(lambda: Store.of(settings).versions(settings.model)), connections))
    except UnknownModel as error:
        from training.recipe import RECIPES

        how = "--quick" if settings.model in RECIPES else "--layers FILE"
        hint = f"to train and publish one: python -m training fit {settings.model} {how}"
        raise DigitsError(f"{error}; {hint}") from None

    from service.app import create_app
    from service.feedback.recent_predictions import RecentPredictions
    from service.models.loader import Loader
    from service.models.registry import ModelRegistry
    from service.models.store_watcher import StoreWatcher
    from service.observability.metrics import Metrics
    from service.server.draining_server import DrainingServer
    from service.state import make_state

    registry = ModelRegistry()
    try:
        metrics = Metrics(shared_folder)
        recent = RecentPredictions(settings.recent_predictions, place, shared_folder)
        watcher = StoreWatcher(Loader(settings, metrics), registry, metrics, thread, settings.poll_interval_s)
        asyncio.run(_alive(watcher.start(), connections))
    except OSError as error:
        raise DigitsError(str(error)) from error
    state = make_state(
        settings, registry=registry, watcher=watcher, metrics=metrics, recent=recent, notify_workers=notify_workers
    )
    served = registry.resolve()
    server = DrainingServer(
        create_app(state),
        state,
        lambda: on_ready(f"{served.name} version {served.version}"),
        connections,
        watcher.wake,
        lambda: _end_soon(recent),
        lambda: _end_at_last(settings) if listener else None,
    )
    server.run(sockets=[listener] if listener else [])


def run_in_process(settings: ServiceSettings, on_ready: Callable[[str], None], **arguments: Any) -> None:
    """As `run_worker`, in a new process: logs are configured first."""
    from service.observability.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    run_worker(settings, on_ready, **arguments)


async def _alive(work: Coroutine[Any, Any, object], connections: socket.socket | None) -> None:
    """Runs a coroutine on an event loop that wakes up now and then, and sends a heartbeat to the supervisor, if any.

    Python handles a signal when the main thread runs: not while an event loop waits, if it comes just before.
    """
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.wait([task], timeout=TICK_S)
        if connections:
            send_heartbeat(connections)
    await task


def _exit_now(*_: object) -> NoReturn:
    """Ends the process with 0: nothing is accepted yet, or everything is answered.

    A library's callback could swallow an exception.
    """
    os._exit(0)


def _end_soon(recent: RecentPredictions) -> None:
    """Closes what is open, and lets the process end by itself, or with 0 after a grace if a thread hangs."""
    recent.close()
    timer = threading.Timer(END_GRACE_S, _end)
    timer.daemon = True
    timer.start()


def _end_at_last(settings: ServiceSettings) -> None:
    """Lets the kernel end the process if the drain does not end in time, as with an event loop that hangs.

    A supervisor does that for its workers.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(settings.drain_pause_s + settings.drain_timeout_s + LATE_END_GRACE_S))


def _end() -> NoReturn:
    logging.shutdown()
    os._exit(0)
