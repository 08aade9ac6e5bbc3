"""Request lines: what is not HTTP/1.0 or HTTP/1.1 with single spaces is refused, in however many pieces it comes."""

import time

import pytest

from tests.support.application import app_with, served
from tests.support.connections import answers, connected
from tests.support.fake_predictor import FakePredictor

HEADERS = b"Host: x\r\n\r\n"


@pytest.fixture(scope="module")
def address():
    with served(app_with(FakePredictor())) as address:
        yield address


def sent(connection, data, size):
    for start in range(0, len(data), size):
        connection.sendall(data[start : start + size])
        if size < len(data):
            time.sleep(0.001)


@pytest.mark.parametrize("size", [1000, 5])
@pytest.mark.parametrize(
    "line",
    [
        b"GET /healthz\r\n",
        b"GET /healthz HTTP/0.9\r\n",
        b"GET /healthz HTTP/2.0\r\n",
        b"GET /healthz HTTP/1.2\r\n",
        b"GET  /healthz HTTP/1.1\r\n",
        b"GET /healthz  HTTP/1.1\r\n",
        b"GET /health z HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1 \r\n",
        b"GET\t/healthz HTTP/1.1\r\n",
        b" GET /healthz HTTP/1.1\r\n",
        b"GET /healthz\xff HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\n",
    ],
)
def test_a_line_that_is_none_is_refused(address, line, size):
    with connected(address) as connection:
        sent(connection, line + HEADERS, size)
        ((status, answer),) = answers(connection, 1)
        assert (status, answer["error"]["code"]) == (400, "invalid_http")


@pytest.mark.parametrize("size", [1000, 5])
@pytest.mark.parametrize("line", [b"GET /healthz HTTP/1.1\r\n", b"\r\n\r\nGET /healthz HTTP/1.1\r\n"])
def test_a_good_line_is_answered_after_empty_lines_too(address, line, size):
    with connected(address) as connection:
        for _ in range(2):
            sent(connection, line + HEADERS, size)
            assert answers(connection, 1)[0][0] == 200


@pytest.mark.parametrize("before", [0, 1], ids=["first", "second"])
def test_empty_lines_cost_nothing(address, before):
    """2 KB of them once held the event loop for a second, and 64 KB for hours; 257 of them were an AttributeError."""
    with connected(address) as connection, connected(address) as other:
        connection.sendall((b"GET /healthz HTTP/1.1\r\n" + HEADERS) * before)
        answers(connection, before)
        connection.sendall(b"\r\n" * 2**17)
        began = time.process_time()
        other.sendall(b"GET /healthz HTTP/1.1\r\n" + HEADERS)
        assert answers(other, 1)[0][0] == 200
        assert time.process_time() - began < 1, "256 KB took 10 ms when this was written"
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HEADERS)
        assert answers(connection, 1)[0][0] == 200


def test_the_second_of_two_requests_is_checked_too(address):
    with connected(address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HEADERS + b"GET  /healthz HTTP/1.1\r\n" + HEADERS)
        assert [status for status, _ in answers(connection, 2)] == [200, 400]
