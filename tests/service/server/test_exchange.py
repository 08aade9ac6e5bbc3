"""Exchange: what an application may send, and how it leaves: head and body in one system call."""

import asyncio

import pytest
from uvicorn.server import ServerState

from service.server.exchange import Exchange

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
HEAD = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n"
STREAM = {"type": "http.response.start", "status": 200}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n"


def body(content: bytes, *, more: bool = False):
    return {"type": "http.response.body", "body": content, "more_body": more}


class FakeConnection:
    """A connection that records the bytes of each system call."""

    writable = None

    def __init__(self):
        self.calls, self.ended, self.closed, self.reading = [], 0, False, True
        self.server_state = ServerState()
        self.server_state.default_headers = [(b"date", b"now")]

    def write(self, *parts):
        self.calls.append(b"".join(parts))

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def end_exchange(self, exchange):
        assert exchange.complete
        self.ended += 1

    def close(self):
        self.closed = True


@pytest.fixture
def connection():
    return FakeConnection()


def exchange_on(connection, *, method="POST", http_version="1.1", keep_alive=True, expects_continue=False):
    scope = {"method": method, "http_version": http_version}
    return Exchange(connection, scope, keep_alive=keep_alive, expects_continue=expects_continue)


def run(exchange, *messages):
    """Runs an application that sends these messages, bare exceptions included."""

    async def app(scope, receive, send):
        for message in messages:
            if isinstance(message, BaseException):
                raise message
            await send(message)

    asyncio.run(exchange.run(app))


def test_head_and_body_leave_together(connection):
    run(exchange_on(connection), START, body(b"hello"))
    assert connection.calls == [HEAD + b"hello"]
    assert connection.ended == 1


def test_the_parts_of_a_stream_leave_as_they_come(connection):
    run(exchange_on(connection), START, body(b"he", more=True), body(b"l", more=True), body(b"lo"))
    assert connection.calls == [HEAD + b"he", b"l", b"lo"]
    assert connection.ended == 1


def test_a_stream_of_unknown_length_leaves_in_chunks(connection):
    run(exchange_on(connection), STREAM, body(b"0123456789abcdef", more=True), body(b"", more=True), body(b"x"))
    assert connection.calls == [STREAM_HEAD + b"10\r\n0123456789abcdef\r\n", b"1\r\nx\r\n0\r\n\r\n"]


def test_a_stream_of_unknown_length_ends_an_old_connection(connection):
    exchange = exchange_on(connection, http_version="1.0")
    run(exchange, STREAM, body(b"x", more=True), body(b"y"))
    assert connection.calls == [b"HTTP/1.1 200 OK\r\ndate: now\r\nconnection: close\r\n\r\nx", b"y"]
    assert not exchange.keep_alive


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_complete_with_its_head(connection, status):
    run(exchange_on(connection), {**STREAM, "status": status}, body(b""))
    assert [call.count(b"\r\n") for call in connection.calls] == [3]
    assert connection.ended == 1


def test_an_answer_to_head_has_the_length_of_a_body_and_no_body(connection):
    run(exchange_on(connection, method="HEAD"), START, body(b"hello"))
    assert connection.calls == [HEAD]


def test_the_last_answer_of_a_connection_says_so(connection):
    run(exchange_on(connection, keep_alive=False), START, body(b"hello"))
    assert connection.calls[0].endswith(b"\r\nconnection: close\r\n\r\nhello")


def test_an_application_may_close_the_connection(connection):
    exchange = exchange_on(connection)
    run(exchange, {**START, "headers": [*START["headers"], (b"connection", b"close")]}, body(b"hello"))
    assert connection.calls[0].count(b"connection: close\r\n") == 1
    assert not exchange.keep_alive


@pytest.mark.parametrize(
    "messages",
    [
        (ValueError("boom"),),
        (START, ValueError("boom")),
        (START,),
        (),
        (body(b"no head"),),
        (START, body(b"too long a body")),
        (START, body(b"...")),
        ({**START, "headers": [(b"x", b"1\r\nset-cookie: 1")]}, body(b"")),
        ({**START, "headers": [(b"x", b"\0")]}, body(b"")),
    ],
)
def test_an_application_that_fails_before_its_answer_leaves_is_answered_for(connection, messages, caplog):
    run(exchange_on(connection), *messages)
    assert [call.partition(b"\r\n")[0] for call in connection.calls] == [b"HTTP/1.1 500 Internal Server Error"]
    assert connection.calls[0].endswith(b"\r\nconnection: close\r\n\r\nInternal Server Error")
    assert "Exception in ASGI application" in caplog.text


@pytest.mark.parametrize(
    "failure", [(ValueError("boom"),), (), (body(b"much too long"),), (body(b"."),), (body(b"llo"), START)]
)
def test_an_application_that_fails_within_its_answer_closes_the_connection(connection, failure, caplog):
    run(exchange_on(connection), START, body(b"he", more=True), *failure)
    assert connection.calls[0] == HEAD + b"he"
    assert connection.closed
    assert "Exception in ASGI application" in caplog.text


def test_nothing_is_sent_to_a_client_that_is_gone(connection, caplog):
    exchange = exchange_on(connection)
    exchange.disconnect()
    run(exchange, START, body(b"hello"))
    assert connection.calls == []
    assert not caplog.text


def test_the_application_receives_the_body_and_then_waits_for_the_client_to_hang_up(connection):
    async def messages():
        exchange = exchange_on(connection)
        first = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        exchange.add_body(b"1")
        exchange.add_body(b"2")
        found = [await first]
        exchange.add_body(b"3")
        found.append(await exchange.receive())
        exchange.end_body()
        found.append(await exchange.receive())
        last = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert not last.done()
        exchange.disconnect()
        return [*found, await last, await exchange.receive()]

    request, gone = "http.request", {"type": "http.disconnect"}
    assert asyncio.run(messages()) == [
        {"type": request, "body": b"12", "more_body": True},
        {"type": request, "body": b"3", "more_body": True},
        {"type": request, "body": b"", "more_body": False},
        gone,
        gone,
    ]


def test_a_body_that_the_application_does_not_read_is_not_read_from_the_socket_either(connection):
    exchange = exchange_on(connection)
    exchange.add_body(bytes(2**16))
    assert connection.reading
    exchange.add_body(b"1")
    assert not connection.reading

    async def receive():
        assert len((await exchange.receive())["body"]) == 2**16 + 1
        waiting = asyncio.create_task(exchange.receive())
        await asyncio.sleep(0)
        assert connection.reading
        exchange.end_body()
        await waiting

    asyncio.run(receive())


def test_a_client_that_expects_100_continue_gets_it_when_its_body_is_wanted(connection):
    exchange = exchange_on(connection, expects_continue=True)
    exchange.end_body()
    assert connection.calls == []
    asyncio.run(exchange.receive())
    assert connection.calls == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_a_client_that_is_refused_gets_no_100_continue(connection):
    run(exchange_on(connection, expects_continue=True), START, body(b"hello"))
    assert connection.calls == [HEAD + b"hello"]


def test_an_application_waits_while_the_client_does_not_read(connection):
    async def send():
        exchange = exchange_on(connection)
        await exchange.send(START)
        connection.writable = asyncio.Event()
        sending = asyncio.create_task(exchange.send(body(b"hello")))
        await asyncio.sleep(0)
        assert connection.calls == []
        connection.writable.set()
        await sending
        assert connection.calls == [HEAD + b"hello"]

    asyncio.run(send())
