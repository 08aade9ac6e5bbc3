"""HttpProtocol without a socket: which phases have a timeout, and how head and body leave in one packet."""

import pytest

from service.server.client_transport import ClientTransport
from service.server.http_protocol import LINGER_S, ConnectionLimits, Phase, timeouts

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def test_each_phase_that_waits_for_the_client_has_a_timeout():
    limits = ConnectionLimits(header_timeout_s=1, body_timeout_s=2, keep_alive_timeout_s=3, connections=4)
    found = {phase: timeout.limit_s for phase, timeout in timeouts(limits).items()}
    assert found == {
        Phase.OVER_LIMIT: 1,
        Phase.CONNECTED: 1,
        Phase.HEAD: 1,
        Phase.BODY: 2,
        Phase.IDLE: 3,
        Phase.LINGERING: LINGER_S,
        Phase.UNREAD: 2,
    }
    assert {*Phase} - {*found} == {Phase.ANSWERING}, "it waits for the application"


class Recorder:
    """A transport that records what is sent by each system call."""

    def __init__(self):
        self.calls = []
        self.closed = False

    def write(self, data):
        assert not self.closed
        self.calls.append(data)

    def writelines(self, parts):
        self.write(b"".join(parts))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def transport(recorder):
    return ClientTransport(recorder, lambda: False)


def test_head_and_body_go_out_together(transport, recorder):
    for _ in range(2):
        transport.write(HEAD)
        transport.write(b"hello")
        transport.flush()
    assert recorder.calls == [HEAD + b"hello"] * 2


def test_the_parts_of_a_stream_go_out_as_they_come(transport, recorder):
    for part in (HEAD, b"1", b"2", b"3"):
        transport.write(part)
    assert recorder.calls == [HEAD + b"1", b"2", b"3"]


def test_a_head_without_a_body_goes_out_when_the_answer_is_complete(transport, recorder):
    transport.write(HEAD)
    assert recorder.calls == []
    transport.flush()
    transport.flush()
    assert recorder.calls == [HEAD]


def test_a_head_goes_out_before_the_connection_is_closed(transport, recorder):
    transport.write(HEAD)
    transport.close()
    assert recorder.calls == [HEAD]
    assert transport.is_closing()


@pytest.mark.parametrize(
    "whole", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n{}", b"body\r\n\r\n"]
)
def test_what_is_no_head_of_an_answer_goes_out_at_once(transport, recorder, whole):
    transport.write(whole)
    assert recorder.calls == [whole]


def test_a_body_that_looks_like_a_head_is_not_lost(transport, recorder):
    transport.write(HEAD)
    transport.write(HEAD)
    transport.write(HEAD)
    transport.flush()
    assert b"".join(recorder.calls) == HEAD * 3
