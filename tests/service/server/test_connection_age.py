"""The maximum age of connections: the next answer says `Connection: close`, and no request is lost."""

import asyncio
import math
import time

import pytest

from service.server.http_protocol import ConnectionLimits
from tests.support.application import app_with, served
from tests.support.connections import GOOD, connected, request_with
from tests.support.fake_predictor import FakePredictor
from tests.support.http_protocol import FakeTransport, Waiting, protocol_of, settled

MAX_AGE_S = 100
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"connection: close"


def limits(max_age_s):
    return ConnectionLimits(1000, 1000, 1000, 100, max_age_s)


@pytest.fixture
async def connect():
    """Makes connections: their application, protocol and transport."""
    made = []

    def new(max_age_s=MAX_AGE_S):
        app, transport = Waiting(), FakeTransport()
        protocol = protocol_of(app, limits(max_age_s))
        protocol.connection_made(transport)
        made.append((app, protocol))
        return app, protocol, transport

    yield new
    for app, protocol in made:
        protocol.connection_lost(None)
        for _ in app.began:
            app.may_answer.release()
    await settled()


def now_s():
    return asyncio.get_running_loop().time()


async def answered(app, count):
    for _ in range(count):
        app.may_answer.release()
        await settled()


@pytest.mark.anyio
async def test_the_first_answer_after_the_maximum_age_closes_the_connection(connect):
    app, protocol, transport = connect()
    protocol.check_timeouts(now_s() + 0.8 * MAX_AGE_S)
    protocol.data_received(GET)
    await answered(app, 1)
    assert CLOSE not in transport.written.lower()
    protocol.check_timeouts(now_s() + 1.2 * MAX_AGE_S)
    assert not transport.closing, "an idle client may be sending just now"
    protocol.data_received(GET)
    await answered(app, 1)
    assert transport.written.lower().count(CLOSE) == 1
    assert transport.closing


@pytest.mark.anyio
async def test_requests_that_came_with_the_last_one_are_answered_too(connect):
    app, protocol, transport = connect()
    protocol.check_timeouts(now_s() + 1.2 * MAX_AGE_S)
    protocol.data_received(GET * 3)
    await answered(app, 3)
    assert transport.written.count(b" 204 ") == 3
    assert transport.written.lower().partition(CLOSE)[0].count(b" 204 ") == 3
    assert transport.closing


@pytest.mark.anyio
async def test_connections_of_one_moment_do_not_all_end_at_once(connect):
    ends = set()
    for _ in range(20):
        _, protocol, _ = connect()
        ends.add(protocol.closes_after_s - now_s())
    assert len(ends) == 20
    assert 0.85 * MAX_AGE_S < min(ends) < max(ends) < 1.15 * MAX_AGE_S
    assert max(ends) - min(ends) > 0.02 * MAX_AGE_S


@pytest.mark.anyio
async def test_without_a_maximum_age_connections_stay(connect):
    app, protocol, transport = connect(max_age_s=0)
    assert protocol.closes_after_s == math.inf
    protocol.data_received(GET)
    await answered(app, 1)
    assert CLOSE not in transport.written.lower()


def test_the_service_closes_old_connections_and_answers_on_new_ones():
    with served(app_with(FakePredictor(), connection_max_age_s=0.1)) as address, connected(address) as connection:
        stream = connection.makefile("rb")
        closes, deadline_s = False, time.monotonic() + 30
        while not closes:
            assert time.monotonic() < deadline_s
            connection.sendall(request_with(GOOD))
            assert b" 200 " in stream.readline()
            head = b"".join(iter(stream.readline, b"\r\n")).lower()
            stream.read(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            closes = CLOSE in head
        assert stream.read() == b""
