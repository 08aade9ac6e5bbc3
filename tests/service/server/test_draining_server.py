"""The HTTP server over real sockets: draining, pipelining, malformed requests and clients that disconnect."""

import asyncio
import contextlib
import json
import signal
import socket
import struct
import threading
import time

import pytest

from service.errors import NotReady
from service.headers import HEAD_LIMIT_BYTES
from service.server.draining_server import DrainingServer
from service.server.http_protocol import HttpProtocol
from service.server.socket_passing import channel, receive_heartbeats, send_connection
from tests.support.application import app_with, served
from tests.support.connections import GOOD, answers, answers_well, asked_of, connected, flat, is_alive, request_with
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.waiting import eventually


@pytest.mark.parametrize("path", ["/predict", "/v1/models/lenet:predict", "/v2/models/lenet/versions/3/infer"])
def test_a_client_that_hangs_up_frees_its_rows(path):
    """Seen elsewhere: work done for clients that have already left."""
    predictor = FakePredictor()
    app = app_with(predictor)
    batcher = app.service.registry.resolve().batcher
    body = asked_of(path, [9] * 5)
    with served(app) as address:
        predictor.gate.clear()
        with connected(address) as holder:
            holder.sendall(request_with(json.dumps({"pixels": flat(1)}).encode()))
            eventually(lambda: predictor.batches == [1])
            with connected(address) as leaver:
                leaver.sendall(request_with(body, path=path))
                eventually(lambda: batcher.waiting_rows == 5)
            eventually(lambda: batcher.waiting_rows == 0)
            predictor.gate.set()
            assert holder.recv(20).startswith(b"HTTP/1.1 200")
    assert predictor.batches == [1]


def test_stopping_the_server_fails_readiness_first_and_finishes_accepted_requests():
    predictor = FakePredictor()
    app = app_with(predictor)
    failures = []

    def let_it_finish():
        try:
            app.service.registry.check_ready()
        except NotReady as failure:
            failures.append(failure.code)
        predictor.gate.set()

    with socket.socket() as connection:
        with served(app) as address:
            predictor.gate.clear()
            connection.connect(address)
            connection.sendall(request_with(json.dumps({"pixels": flat(7)}).encode()))
            eventually(lambda: predictor.batches == [1])
            threading.Timer(0.3, let_it_finish).start()
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"digit":7' in answer
    assert failures == ["draining"]


@pytest.mark.parametrize("path", ["/v1/models/lenet:predict", "/v2/models/lenet/infer"])
def test_who_has_no_answer_when_the_drain_ends_is_told_so_in_the_words_of_the_protocol(path):
    predictor = FakePredictor()
    with socket.socket() as connection:
        with served(app_with(predictor, drain_timeout_s=1)) as address:
            predictor.gate.clear()
            connection.connect(address)
            connection.sendall(request_with(asked_of(path, [1]), path=path))
            eventually(lambda: predictor.batches == [1])
            threading.Timer(2.5, predictor.gate.set).start()
        ((status, answer),) = answers(connection, 1)
    assert (status, answer) == (503, {"error": "the service has shut down before it had an answer"})


def test_half_sent_and_endless_bodies_do_not_stop_the_service():
    blank = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    with (
        served(app_with(FakePredictor(), body_limit_bytes=5000)) as address,
        connected(address) as half_sent,
        connected(address) as endless,
        connected(address) as good,
    ):
        half_sent.sendall(request_with(b'{"pixels": [1', "Content-Length: 4000"))
        endless.sendall(request_with(blank + blank, "Transfer-Encoding: chunked"))
        assert endless.recv(20).startswith(b"HTTP/1.1 413")
        good.sendall(request_with(json.dumps({"pixels": flat(7)}).encode()))
        assert good.recv(20).startswith(b"HTTP/1.1 200")


def test_a_pause_after_the_signal_takes_new_requests_though_readiness_fails():
    app = app_with(FakePredictor(), drain_pause_s=0.5)
    found = []

    def ask(address):
        eventually(lambda: app.service.registry.draining)
        found.append(answers_well(address))

    with served(app) as address:
        asker = threading.Thread(target=ask, args=[address])
        asker.start()
    asker.join()
    assert found == [True]


@pytest.fixture
def supervised():
    """The channel of a supervisor: the end of the supervisor, and that of a worker."""
    ends = channel()
    yield ends
    for end in ends:
        end.close()


def test_the_event_loop_sends_heartbeats_until_it_ends_and_none_while_it_is_blocked(supervised, monkeypatch):
    monkeypatch.setattr("service.server.draining_server.HEARTBEAT_INTERVAL_S", 0.1)
    of_supervisor, of_worker = supervised
    registry = (app := app_with(FakePredictor(), drain_pause_s=1)).service.registry
    drain, found = registry.drain, []

    def block_and_drain():  # on the event loop
        registry.drain = drain
        receive_heartbeats(of_supervisor)
        time.sleep(0.3)
        found.append(receive_heartbeats(of_supervisor))
        drain()

    def listen():
        eventually(lambda: registry.draining, 10)
        for _ in range(2):
            eventually(lambda: receive_heartbeats(of_supervisor))
        found.append("alive while it drains")

    registry.drain = block_and_drain
    with served(app, of_worker):
        eventually(lambda: receive_heartbeats(of_supervisor))
        listener = threading.Thread(target=listen)
        listener.start()
    listener.join()
    assert found == [False, "alive while it drains"]


def test_the_first_signal_is_told_at_once_and_once():
    app = app_with(FakePredictor())
    told = []
    server = DrainingServer(app, app.service, lambda: None, on_stop=lambda: told.append(True))
    for _ in range(2):
        server.handle_exit(signal.SIGTERM, None)
    assert (told, server.should_exit, server.force_exit) == ([True], True, True)


def test_the_end_of_the_drain_is_told_though_a_thread_of_the_event_loop_hangs():
    registry = (app := app_with(FakePredictor())).service.registry
    drain, go_on, hanging = registry.drain, threading.Event(), []

    def hang_and_drain():  # on the event loop, which waits for this thread before it closes
        registry.drain = drain
        hanging.append(asyncio.get_running_loop().run_in_executor(None, go_on.wait, 60))
        drain()

    registry.drain = hang_and_drain
    with served(app, on_end=go_on.set):
        pass
    assert len(hanging) == 1


def test_connections_that_a_supervisor_has_sent_are_served_though_it_never_closes_the_channel(supervised):
    of_supervisor, of_worker = supervised
    registry = (app := app_with(FakePredictor())).service.registry
    drain, clients = registry.drain, []

    def send_and_drain():  # on the event loop, which receives nothing meanwhile
        registry.drain = drain
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for _ in range(20):
                clients.append(connected(listener.getsockname()))
                clients[-1].sendall(request_with(GOOD))
                assert send_connection(listener.accept()[0], [of_supervisor])
        drain()

    registry.drain = send_and_drain
    with served(app, of_worker):
        pass
    for client in clients:
        with client:
            assert answers(client, 1)[0][0] == 200
    with socket.socket() as late:
        assert send_connection(late, [of_supervisor]) is None


@pytest.mark.parametrize("of", ["the listener", "the supervisor"])
def test_a_burst_of_connections_is_taken_in_a_few_polls_of_the_event_loop(of, supervised, monkeypatch):
    """Seen under overload: one a poll; the backlog was full, and clients tried again after seconds."""
    of_supervisor, of_worker = supervised
    registry = (app := app_with(FakePredictor())).service.registry
    drain, clients, addresses, polls, made = registry.drain, [], [], [], []
    connection_made = HttpProtocol.connection_made

    def note(connection, transport):
        made.append(len(polls))
        connection_made(connection, transport)

    def count(loop):
        polls.append(None)
        if len(made) < len(clients):
            loop.call_soon(count, loop)

    def connect_and_drain():  # on the event loop, which takes nothing meanwhile
        registry.drain = drain
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for _ in range(100):
                clients.append(connected(addresses[0] if of == "the listener" else listener.getsockname()))
                assert of == "the listener" or send_connection(listener.accept()[0], [of_supervisor])
        count(asyncio.get_running_loop())
        drain()

    monkeypatch.setattr(HttpProtocol, "connection_made", note)
    registry.drain = connect_and_drain
    with served(app, of_worker if of == "the supervisor" else None) as address:
        addresses.append(address)
    for client in clients:
        client.close()
    assert len(made) == 100
    assert made[-1] - made[0] < 20


def test_who_has_no_answer_when_the_drain_ends_is_told_so():
    predictor = FakePredictor()
    with socket.socket() as waiting, socket.socket() as half_sent:
        waiting.settimeout(10)
        half_sent.settimeout(10)
        with served(app_with(predictor, drain_timeout_s=1)) as address:
            predictor.gate.clear()
            waiting.connect(address)
            waiting.sendall(request_with(GOOD))
            half_sent.connect(address)
            half_sent.sendall(request_with(GOOD[:100], "Content-Length: 4000"))
            eventually(lambda: predictor.batches == [1])
            threading.Timer(2, predictor.gate.set).start()  # or the engine's thread would not end
        for connection in (waiting, half_sent):
            ((status, answer),) = answers(connection, 1)
            assert (status, answer["error"]["code"]) == (503, "draining")


def test_requests_in_one_piece_are_answered_one_after_the_other():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        bodies = [json.dumps({"pixels": flat(digit)}).encode() for digit in (3, 1, 4, 1, 5)]
        connection.sendall(b"".join(request_with(body) for body in bodies))
        assert [answer["digit"] for _, answer in answers(connection, 5)] == [3, 1, 4, 1, 5]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /healthz", 200), ("HEAD /healthz", 200), ("HEAD /predict", 405), ("OPTIONS /predict", 405)],
)
def test_an_answer_is_whole_with_the_first_packet(request_line, status):
    """uvicorn would send the head alone, and wake the client for it."""
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, end, body = connection.recv(100_000).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert int(head.split()[1]) == status
        assert end
        assert len(body) == (0 if request_line.startswith("HEAD") else length)


def test_who_waits_to_be_asked_for_the_body_is_asked_at_once():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        head, body = request_with(GOOD, f"Content-Length: {len(GOOD)}\r\nExpect: 100-continue").split(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answers(connection, 1)[0][1]["digit"] == 7


def test_a_body_that_comes_byte_by_byte_holds_up_nobody():
    with served(app_with(FakePredictor())) as address, connected(address) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = request_with(GOOD)
        for first in range(0, len(request), 50):
            slow.sendall(request[first : first + 50])
            assert first % 500 or answers_well(address)
        ((status, answer),) = answers(slow, 1)
        assert (status, answer["digit"]) == (200, 7)


@pytest.mark.parametrize(
    "rude",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00 this is TLS",
        b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_an_error_of_the_common_form(rude):
    with served(app_with(FakePredictor())) as address:
        with connected(address) as connection:
            connection.sendall(rude)
            ((status, answer),) = answers(connection, 1)
            assert (status, answer["error"]["code"]) == (400, "invalid_http")
            assert answer["error"].keys() == {"code", "message", "field", "found", "wanted"}
            assert connection.recv(1) == b""
        assert answers_well(address)


GARBAGE = b"\0\1\2\r\n\r\n"
HIDDEN = b"GET /readyz HTTP/1.1\r\nHost: hidden\r\n\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: h2c"


def codes(connection, count):
    """What so many answers say, status or code of the error, after which the connection must be closed."""
    found = [answer["error"]["code"] if "error" in answer else status for status, answer in answers(connection, count)]
    assert connection.recv(1) == b""
    return found


@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_asks_for_http_2_is_answered_in_http_1(together):
    """As curl --http2 and Java's client send it, both of which post pixels."""
    picture_sent = picture(7).tobytes()
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        for asked in (UPGRADE, "connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk\r\nupgrade: h2c"):
            head = request_with(b"", f"{asked}\r\nContent-Type: application/octet-stream\r\nContent-Length: 784")
            connection.sendall(head + picture_sent[: 784 * together])
            if not together:
                time.sleep(0.1)
                connection.sendall(picture_sent)
            ((status, _),) = answers(connection, 1)
            assert status == 200


@pytest.mark.parametrize("length", [f"Content-Length: {len(HIDDEN)}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("pieces", ["one piece", "two pieces"])
def test_a_body_behind_an_upgrade_is_not_taken_for_a_request(length, pieces):
    """The parser ends such a request with its head: what came next was answered, whoever had written it."""
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        head = request_with(b"", f"{UPGRADE}\r\n{length}")
        middle = head.index(b"Upgrade:") + 3  # in one piece it is ignored
        connection.sendall(head[:middle])
        time.sleep(0.1)
        if pieces == "one piece":
            connection.sendall(head[middle:] + HIDDEN)
        else:
            connection.sendall(head[middle:])
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):  # it may have been closed
                connection.sendall(HIDDEN)
        ((status, answer),) = answers(connection, 1)
        assert (status, answer["error"]["code"]) == (400, "invalid_http")
        assert answer["error"]["message"] == (
            "a request with Upgrade has a body, want one without Upgrade: only HTTP/1.1 is spoken; "
            "the connection is closed"
        )
        with contextlib.suppress(ConnectionResetError):  # what it had not read
            assert connection.recv(1) == b""


@pytest.mark.parametrize("length", ["X-Length: none", "Content-Length: 0"])
def test_an_upgrade_without_a_body_is_ignored_and_what_follows_is_read(length):
    asking = f"GET /healthz HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n{length}\r\n\r\n".encode()
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall((asking + request_with(GOOD)) * 2 + asking + HIDDEN[:10])
        assert [answer.get("digit") for _, answer in answers(connection, 5)] == [None, 7, None, 7, None]
        connection.sendall(HIDDEN[10:])
        assert answers(connection, 1) == [(200, {"status": "ready"})]


def test_nobody_is_connected_to_another_host():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(b"CONNECT example:80 HTTP/1.1\r\nHost: example\r\n\r\n" + HIDDEN)
        assert codes(connection, 1) == ["invalid_http"]


@pytest.mark.parametrize("count", [1, 3])
def test_requests_before_garbage_in_the_same_piece_are_answered(count):
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(request_with(GOOD) * count + GARBAGE + HIDDEN)
        assert codes(connection, count + 1) == [200] * count + ["invalid_http"]


@pytest.mark.parametrize(
    "garbage",
    [
        GARBAGE,
        request_with(b"x\r\n", "Transfer-Encoding: chunked"),
        b"CONNECT example:80 HTTP/1.1\r\n\r\n",
    ],
    ids=["no request", "a body that breaks", "a head without a path"],
)
@pytest.mark.parametrize("count", [1, 2])
def test_requests_are_answered_though_garbage_comes_while_they_are_computed(garbage, count):
    predictor = FakePredictor()
    with served(app_with(predictor)) as address, connected(address) as connection:
        predictor.gate.clear()
        connection.sendall(request_with(GOOD) * count)
        eventually(lambda: predictor.batches == [1])
        for sent in (garbage, HIDDEN):
            connection.sendall(sent)
            assert is_alive(address)  # so it has been read
        predictor.gate.set()
        assert codes(connection, count + 1) == [200] * count + ["invalid_http"]
    assert predictor.batches == [1] * count


def test_a_request_is_answered_though_a_head_without_end_follows():
    predictor = FakePredictor()
    with served(app_with(predictor)) as address, connected(address) as connection:
        predictor.gate.clear()
        connection.sendall(request_with(GOOD))
        eventually(lambda: predictor.batches == [1])
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 4 * HEAD_LIMIT_BYTES)
        time.sleep(0.2)
        connection.sendall(b"x" * HEAD_LIMIT_BYTES)
        assert is_alive(address)
        predictor.gate.set()
        assert codes(connection, 2) == [200, "head_too_large"]


def test_a_body_that_breaks_is_refused_at_once():
    predictor = FakePredictor()
    with served(app_with(predictor)) as address, connected(address) as connection:
        connection.sendall(request_with(b"5\r\n12345\r\n", "Transfer-Encoding: chunked"))
        time.sleep(0.1)
        connection.sendall(b"x\r\n")
        assert codes(connection, 1) == ["invalid_http"]
    assert predictor.batches == []


@pytest.mark.parametrize("head", [b"X: " + b"x" * 2**22, b"X: x\r\n" * 2**19, b""], ids=["long", "many", "URL"])
def test_a_head_without_end_is_refused(head):
    start = b"POST /predict HTTP/1.1\r\n" + head if head else b"POST /" + b"x" * 2**22
    with served(app_with(FakePredictor())) as address:
        # the answer may be lost when more comes than is read
        with connected(address) as connection, contextlib.suppress(ConnectionError):
            for first in range(0, len(start), 10_000):
                connection.sendall(start[first : first + 10_000])
            assert connection.recv(20).startswith(b"HTTP/1.1 4")
            assert connection.recv(10_000)
            assert connection.recv(1) == b""
        assert answers_well(address)


def test_a_head_that_is_too_large_is_told_so():
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nX: " + b"x" * (HEAD_LIMIT_BYTES - 100))
        time.sleep(0.2)
        connection.sendall(b"x" * 1000)
        time.sleep(0.2)
        connection.sendall(b"x")
        ((status, answer),) = answers(connection, 1)
        assert (status, answer["error"]["code"]) == (431, "head_too_large")


CHUNKED = request_with(b"", "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "trailer", [b"Authorization: Bearer x\r\n\r\n", b"X-Request-Id: mine\r\n\r\n"], ids=["authorization", "id"]
)
def test_headers_behind_the_body_are_refused_and_not_merged(trailer):
    """They came from whoever sends the body, past a proxy that had looked at the head."""
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD)
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(CHUNKED + chunk + trailer)
        ((status, content),) = answers(connection, 1)
        assert (status, content["error"]["code"]) == (400, "invalid_http")
        assert content["error"]["message"].startswith("the body is followed by trailers, want none")
        connection.close()
        answers_well(address)


@pytest.mark.parametrize(
    "endless",
    [b"1\r\n \r\n0\r\nX-A: " + b"a" * 2**19, b"1;" + b"a" * 2**19, b"1\r\n \r\n1;" + b"a" * 2**19],
    ids=["trailer", "extension", "second extension"],
)
def test_what_stands_between_chunks_is_limited(endless):
    """It is in no body, so no limit of bodies sees it."""
    app = app_with(FakePredictor())
    with served(app) as address, connected(address) as connection:
        with contextlib.suppress(OSError):  # it is told before it has sent all
            connection.sendall(CHUNKED + endless)
        ((status, content),) = answers(connection, 1)
        assert (status, content["error"]["code"]) == (400, "invalid_http")
        assert "between its chunks" in content["error"]["message"]
        assert b'digits_refused_requests_total{code="invalid_http"} 1.0' in app.service.metrics.exposition()
        answers_well(address)


def test_a_body_in_chunks_of_one_byte_is_read():
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD + b" " * 20_000) + b"0\r\n\r\n"
    with served(app_with(FakePredictor())) as address, connected(address) as connection:
        connection.sendall(CHUNKED + body)
        assert answers(connection, 1)[0][0] == 200


def test_connections_that_are_reset_harm_nobody():
    predictor = FakePredictor()
    with served(app_with(predictor)) as address:
        for sent in (b"", b"POST /pre", request_with(GOOD)[:-100], request_with(GOOD)):
            for _ in range(20):
                connection = connected(address)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(sent)
                connection.close()
        assert answers_well(address)
