"""Timeouts and limits of connections: slow, idle and too many clients are cut off while others are served."""

import contextlib
import json
import socket
import time
from contextlib import ExitStack

import pytest

from service.server.http_protocol import HEADERS_LIMIT, HttpProtocol
from tests.support.application import app_with, served
from tests.support.connections import GOOD, answers, answers_well, connected, request_with
from tests.support.fake_predictor import FakePredictor
from tests.support.waiting import eventually

SOON_S, TICK_S = 0.6, 0.5


def ended(connection):
    """Whether the other side has closed; throws away what it said before."""
    connection.setblocking(False)
    try:
        while connection.recv(100_000):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        connection.settimeout(10)
    return True


def seconds_until_closed(connection, send=b"", pause_s=0.05):
    """How long a connection lives on which something is sent again and again."""
    began = time.monotonic()
    while not ended(connection):
        assert time.monotonic() - began < 10
        with contextlib.suppress(ConnectionError):
            connection.sendall(send)
        time.sleep(pause_s)
    return time.monotonic() - began


def test_many_slow_connections_are_cut_off_and_others_are_served_meanwhile():
    """Slowloris: each sends a bit of a head or a body now and then, and never comes to an end."""
    app = app_with(FakePredictor(), header_timeout_s=SOON_S, body_timeout_s=SOON_S)
    with served(app) as address, ExitStack() as stack:
        slow = [stack.enter_context(connected(address)) for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall(request_with(GOOD)[: 20 if number % 2 else 150])
        began, served_well = time.monotonic(), 0
        open_ones = list(slow)
        while open_ones:
            assert time.monotonic() - began < 10
            served_well += answers_well(address)
            for connection in open_ones:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"1")
            open_ones = [connection for connection in open_ones if not ended(connection)]
        assert SOON_S * 0.8 < time.monotonic() - began < SOON_S + TICK_S + 2
        assert served_well > 10
        assert answers_well(address)


@pytest.mark.parametrize(
    ("sent", "what"), [(b"POST /predict HTTP/1.1\r\nX: ", "head"), (request_with(GOOD)[:-9], "body")]
)
def test_who_is_cut_off_is_told_why(sent, what):
    app = app_with(FakePredictor(), header_timeout_s=SOON_S, body_timeout_s=SOON_S)
    with served(app) as address, connected(address) as connection:
        connection.sendall(sent)
        ((status, answer),) = answers(connection, 1)
        assert (status, answer["error"]["code"]) == (408, "too_slow")
        assert (
            answer["error"]["message"]
            == f"the {what} of the request has not ended after 0.6 s; the connection is closed"
        )
        assert connection.recv(1) == b""


def test_who_connects_and_says_nothing_is_cut_off_without_a_word():
    with served(app_with(FakePredictor(), header_timeout_s=SOON_S)) as address, connected(address) as connection:
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert SOON_S * 0.8 < time.monotonic() - began < SOON_S + TICK_S + 1


def test_a_slow_head_after_a_request_is_cut_off_too_and_an_idle_connection_later():
    app = app_with(FakePredictor(), header_timeout_s=SOON_S, keep_alive_timeout_s=3 * SOON_S)
    with served(app) as address, connected(address) as slow, connected(address) as idle:
        for connection in (slow, idle):
            connection.sendall(request_with(GOOD))
            assert answers(connection, 1)[0][0] == 200
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert SOON_S * 0.8 < seconds_until_closed(slow, b"x") < SOON_S + TICK_S + 1
        assert not ended(idle)
        assert seconds_until_closed(idle) < 3 * SOON_S + TICK_S + 1


def test_a_connection_is_idle_when_the_body_comes_after_the_answer():
    """Its client could once keep it for ever: no limit held after such a body."""
    app = app_with(FakePredictor(), keep_alive_timeout_s=SOON_S)
    with served(app) as address, connected(address) as connection:
        request = request_with(b"x" * 100, path="/nothing")
        connection.sendall(request[:-50])
        assert answers(connection, 1)[0][0] == 404
        connection.sendall(request[-50:])
        assert SOON_S * 0.8 < seconds_until_closed(connection) < SOON_S + TICK_S + 1


def test_a_connection_that_is_used_is_not_idle():
    app = app_with(FakePredictor(), header_timeout_s=SOON_S, body_timeout_s=SOON_S, keep_alive_timeout_s=SOON_S)
    with served(app) as address, connected(address) as connection:
        for _ in range(8):
            connection.sendall(request_with(GOOD))
            assert answers(connection, 1)[0][0] == 200
            time.sleep(0.2)


def test_a_request_that_is_computed_for_long_is_no_slow_client():
    predictor = FakePredictor()
    app = app_with(predictor, header_timeout_s=SOON_S, body_timeout_s=SOON_S, keep_alive_timeout_s=SOON_S)
    with served(app) as address, connected(address) as connection:
        predictor.gate.clear()
        connection.sendall(request_with(GOOD))
        time.sleep(SOON_S + 2 * TICK_S)
        predictor.gate.set()
        assert answers(connection, 1)[0][0] == 200


def test_who_goes_on_sending_a_body_that_was_refused_is_cut_off():
    app = app_with(FakePredictor(), body_limit_bytes=1000, body_timeout_s=SOON_S)
    with served(app) as address, connected(address) as connection:
        connection.sendall(request_with(b"x", "Content-Length: 1000000"))
        assert answers(connection, 1)[0][0] == 413
        assert seconds_until_closed(connection, b"x") < SOON_S + TICK_S + 1


def test_who_does_not_read_its_answers_is_cut_off(monkeypatch):
    """They would pile up in memory for ever."""
    app, made = app_with(FakePredictor(), body_timeout_s=SOON_S), []
    connection_made = HttpProtocol.connection_made
    monkeypatch.setattr(
        HttpProtocol, "connection_made", lambda self, transport: made.append(self) or connection_made(self, transport)
    )
    body = json.dumps({"instances": [json.loads(GOOD)["pixels"]] * 16}).encode()
    with served(app) as address, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address)
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(3000):
                connection.sendall(request_with(body, path="/predict?fields=pixels"))
        (protocol,) = made
        assert protocol in protocol.connections
        eventually(lambda: protocol not in protocol.connections, 10)
        assert answers_well(address)


def test_connections_over_the_limit_are_told_so_and_the_others_are_served():
    with served(app_with(FakePredictor(), connection_limit=2)) as address, ExitStack() as stack:
        first, second = (stack.enter_context(connected(address)) for _ in range(2))
        for connection in (first, second):
            connection.sendall(request_with(GOOD))
            assert answers(connection, 1)[0][0] == 200
        # only now: the server may open connections that are made at once in another order
        third, fourth = (stack.enter_context(connected(address)) for _ in range(2))
        third.sendall(request_with(GOOD))
        ((status, answer),) = answers(third, 1)
        assert (status, answer["error"]["code"]) == (503, "too_many_connections")
        for connection in (first, second):
            connection.sendall(request_with(GOOD))
            assert answers(connection, 1)[0][0] == 200
        assert seconds_until_closed(fourth) < 1 + 2 * TICK_S + 1
        first.close()
        eventually(lambda: answers_well(address))


@pytest.mark.parametrize(("headers", "status"), [(HEADERS_LIMIT, 200), (HEADERS_LIMIT + 1, 431)])
def test_headers_are_counted(headers, status):
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        lines = "".join(f"X-{number}: 1\r\n" for number in range(headers - 1))
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        ((found, answer),) = answers(connection, 1)
        assert found == status
        if status == 431:
            assert answer["error"]["code"] == "too_many_headers"
