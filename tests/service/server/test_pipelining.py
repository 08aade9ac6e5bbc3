"""Pipelined requests: one at a time is parsed, and the socket is not read while one is computed."""

import json
import resource

import pytest

from service.server.http_protocol import ConnectionLimits
from tests.support.application import app_with, served
from tests.support.connections import answers, connected, flat, request_with
from tests.support.fake_predictor import FakePredictor
from tests.support.http_protocol import FakeTransport, Waiting, protocol_of, settled

LIMITS = ConnectionLimits(header_timeout_s=10, body_timeout_s=10, keep_alive_timeout_s=10, connections=10)
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.fixture
async def connection():
    """An application, and the protocol and the transport of a connection to it."""
    app = Waiting()
    protocol = protocol_of(app, LIMITS)
    transport = FakeTransport()
    protocol.connection_made(transport)
    yield app, protocol, transport
    protocol.connection_lost(None)
    for _ in app.began:
        app.may_answer.release()
    await settled()


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [GET, CHUNKED], ids=["GET", "chunked"])
async def test_one_request_is_parsed_at_a_time_and_nothing_is_read_meanwhile(connection, request_):
    app, protocol, transport = connection
    protocol.data_received(request_ * 5000)
    await settled()
    assert len(app.began) == 1
    assert not transport.reading
    for count in range(2, 20):
        app.may_answer.release()
        await settled()
        assert len(app.began) == count
        assert transport.written.count(b" 204 ") == count - 1
        assert not transport.reading


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 3, 7, 50, 1000])
async def test_requests_in_pieces_of_any_size_are_all_answered(connection, size):
    app, protocol, transport = connection
    stream = (GET + CHUNKED + request_with(b"x" * 100) + GET) * 5
    for _ in range(20):
        app.may_answer.release()
    for start in range(0, len(stream), size):
        protocol.data_received(stream[start : start + size])
        if not transport.reading:
            await settled()
    for _ in range(20):
        await settled()
    assert app.began == ["/healthz", "/", "/predict", "/healthz"] * 5
    assert transport.written.count(b" 204 ") == 20
    assert transport.reading
    assert not transport.closing


def test_a_flood_of_pipelined_requests_stays_in_the_sockets():
    """5 MB of small requests once became 600 MB of parsed ones."""
    predictor = FakePredictor()
    with served(app_with(predictor)) as address, connected(address) as connection:
        predictor.gate.clear()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        body = json.dumps({"instances": [flat(7), flat(7)]}).encode()
        connection.sendall(request_with(body))
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.sendall(GET * 2**20)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10  # KiB
        predictor.gate.set()
        connection.settimeout(10)
        assert [status for status, _ in answers(connection, 100)] == [200] * 100
