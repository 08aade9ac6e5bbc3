"""The budget of a lone request: Python and C calls on the event loop, which do not depend on how busy a machine is."""

import asyncio
import json
import socket
import sys
import threading
from collections import Counter

import numpy as np
import pytest

from service.app import create_app
from service.models.loader import Loader
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.server.draining_server import DrainingServer
from service.settings import ServiceSettings
from service.state import make_state
from tests.support.connections import answers, connected, request_with

PYTHON_LIMIT, C_LIMIT = 115, 130
ASKED = 50
FLAT = json.dumps({"pixels": [0] * 300 + [255] * 100 + [0] * 384}).encode()
NESTED = json.dumps({"pixels": np.zeros((28, 28), int).tolist()}).encode()


@pytest.fixture(scope="module")
def service(trained_store):
    """The service as it is by default, on a real network: its address and its event loop."""
    settings, metrics, registry = (
        ServiceSettings(model="tiny", store=str(trained_store.path)),
        Metrics(),
        ModelRegistry(),
    )
    watcher = StoreWatcher(Loader(settings, metrics), registry, metrics, StoreThread(60), settings.poll_interval_s)
    state = make_state(settings, registry=registry, watcher=watcher, metrics=metrics)
    loops, ready = [], threading.Event()

    def note_ready():
        loops.append(asyncio.get_running_loop())
        ready.set()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = DrainingServer(create_app(state), state, note_ready)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(60)
        yield listener.getsockname(), loops[0]
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def calls(service, body: bytes) -> tuple[Counter, Counter]:
    """The calls that a warm, idle service makes for each request: of Python functions, and of C functions.

    What a function is called for other reasons, such as a timer's, is less than once a request.
    """
    address, loop = service
    python, native = Counter(), Counter()

    def note(frame, event, function):
        if event == "call":
            python[f"{frame.f_code.co_filename}:{frame.f_code.co_name}"] += 1
        elif event == "c_call":
            native[f"{getattr(function, '__qualname__', function)} in {frame.f_code.co_name}"] += 1

    def profile(function):
        done = threading.Event()
        loop.call_soon_threadsafe(lambda: (sys.setprofile(function), done.set()))
        assert done.wait(10)

    with connected(address) as connection:

        def ask():
            connection.sendall(request_with(body))
            assert answers(connection, 1)[0][0] == 200

        for _ in range(100):
            ask()
        profile(note)
        for _ in range(ASKED):
            ask()
        profile(None)
    return tuple(Counter({name: count // ASKED for name, count in found.items()}) for found in (python, native))


@pytest.mark.parametrize("body", [FLAT, NESTED], ids=["784", "28 x 28"])
def test_a_lone_request_stays_within_its_budget_of_calls(service, body):
    python, native = calls(service, body)
    assert 50 < python.total() <= PYTHON_LIMIT, python.most_common(120)
    assert 50 < native.total() <= C_LIMIT, native.most_common(130)


def test_a_lone_request_needs_no_timer_and_waits_for_no_other_turn_of_the_event_loop(service):
    python, _ = calls(service, FLAT)
    names = {name.rpartition(":")[2] for name, count in python.items() if count}
    assert "compute_now" in names
    assert not names & {"sleep", "call_later", "call_at", "submit", "__aenter__"}
