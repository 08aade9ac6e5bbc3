"""Connections that close: half-closed by the client, or by the service while the client is still sending."""

import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from tests.support.application import app_with, served
from tests.support.connections import GOOD, answers, connected, flat, request_with
from tests.support.fake_predictor import FakePredictor
from tests.support.waiting import eventually

TWO = json.dumps({"instances": [flat(7), flat(7)]}).encode()
"""Two pictures, which are computed on a thread; one is computed on the event loop."""


def test_a_client_that_closes_its_half_gets_all_its_answers():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(request_with(GOOD) * 3)
        connection.shutdown(socket.SHUT_WR)
        assert [answer["digit"] for _, answer in answers(connection, 3)] == [7, 7, 7]
        assert connection.recv(1) == b""


def test_a_client_that_closes_its_half_may_wait_for_its_answer():
    predictor = FakePredictor()
    with served(app_with(predictor)) as address, connected(address) as connection:
        predictor.gate.clear()
        connection.sendall(request_with(TWO))
        connection.shutdown(socket.SHUT_WR)
        eventually(lambda: predictor.batches == [2])
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n", "the service asks whether anybody reads"
        time.sleep(0.5)
        predictor.gate.set()
        assert [status for status, _ in answers(connection, 1)] == [200]
        assert connection.recv(1) == b""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_reads_only_when_it_has_sent_all_sees_why_its_body_is_refused(chunked):
    """It once saw a reset: the rest of the body was not read."""
    with served(app_with(FakePredictor(), body_limit_bytes=10_000)) as (host, port):
        body = iter([b"x" * 2**20] * 20) if chunked else b"x" * 20 * 2**20
        request = urllib.request.Request(f"http://{host}:{port}/predict", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=10):
            pass
        with caught.value as answer:
            assert answer.code == 413
            assert json.load(answer)["error"]["code"] == "body_too_large"


def test_after_a_refusal_the_application_does_not_answer_too(caplog):
    """Its answer once met a connection that was half-closed: an exception, and over TLS a second answer."""
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert answers(connection, 1)[0][0] == 400
        assert connection.recv(1) == b""
    assert "Exception" not in caplog.text


def test_pipelined_requests_behind_the_last_answer_do_not_reset_it():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        last = request_with(GOOD).replace(b"Host: x", b"Host: x\r\nConnection: close")
        connection.sendall(last + request_with(GOOD) * 50)
        assert [status for status, _ in answers(connection, 1)] == [200]
        assert connection.recv(1) == b""


def test_a_client_that_goes_on_sending_is_read_for_a_moment_only(monkeypatch):
    monkeypatch.setattr("service.server.http_protocol.LINGER_S", 0.5)
    with served(app_with(FakePredictor(), body_limit_bytes=10_000)) as address, connected(address) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        assert answers(connection, 1)[0][0] == 413
        eventually(lambda: is_reset(connection))


def is_reset(connection):
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return True
    return False
