"""A listener that stops accepting: connections in its backlog are served, new ones are refused."""

import socket
import sys

import pytest

from service.server.listener import stop_accepting
from tests.support.application import app_with, served
from tests.support.connections import GOOD, answers, answers_well, connected, request_with
from tests.support.fake_predictor import FakePredictor
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux resets, and Linux has the remedy")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_waits_can_be_accepted_and_who_comes_is_refused(family):
    with socket.create_server(("127.0.0.1" if family == socket.AF_INET else "::1", 0), family=family) as listener:
        address = listener.getsockname()[:2]
        with connected(address) as waits:
            waits.sendall(b"let in")
            stop_accepting(listener)
            with pytest.raises(ConnectionRefusedError):
                connected(address)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(10) == b"let in"


def test_connections_that_wait_to_be_accepted_when_the_server_stops_are_served():
    predictor = FakePredictor()
    app = app_with(predictor)
    waiting = []
    with served(app) as address:
        live = app.service.registry
        drain = live.drain

        def drain_late():  # on the event loop, which accepts nothing meanwhile
            drain()
            for _ in range(0 if waiting else 20):  # it is called again when all is over
                waiting.append(connected(address))
                waiting[-1].sendall(request_with(GOOD))

        live.drain = drain_late
    for connection in waiting:
        with connection:
            ((status, answer),) = answers(connection, 1)
            assert (status, answer["digit"]) == (200, 7)
    assert len(waiting) == 20


def test_answers_during_the_pause_say_that_the_connection_ends_and_pipelined_requests_are_answered_first():
    app = app_with(FakePredictor(), drain_pause_s=1)
    with socket.socket() as stays, socket.socket() as pipelines:
        with served(app) as address:
            for connection in (stays, pipelines):
                connection.settimeout(10)
                connection.connect(address)
                connection.sendall(request_with(GOOD))
                answers(connection, 1)
            drain = app.service.registry.drain

            def drain_and_ask():
                app.service.registry.drain = drain  # it is called again when all is over
                drain()
                stays.sendall(request_with(GOOD))
                pipelines.sendall(request_with(GOOD) * 3)

            app.service.registry.drain = drain_and_ask
        eventually(lambda: app.service.registry.draining)
        held = b""
        while data := stays.recv(10_000):
            held += data
        assert held.startswith(b"HTTP/1.1 200")
        assert held.count(b"connection: close\r\n") == 1
        assert [status for status, _ in answers(pipelines, 3)] == [200] * 3
        assert pipelines.recv(1) == b""


def test_answers_before_it_stops_do_not_end_connections():
    with served(app_with(FakePredictor())) as address:
        assert answers_well(address)
        with connected(address) as connection:
            for _ in range(2):
                connection.sendall(request_with(GOOD))
                answers(connection, 1)
