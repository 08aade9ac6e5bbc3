"""How processes of one run find each other over real sockets, and the errors when they do not; each is a thread."""

import socket
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress

import pytest

from tests.load.server import free_port
from training.distributed.rendezvous import meet
from training.errors import DigitsError


@pytest.fixture
def threads():
    with ThreadPoolExecutor() as pool:
        yield pool


def come(threads, port, process, processes=3, within_s=10.0):
    return threads.submit(meet, "127.0.0.1", port, processes, process, within_s=within_s)


def test_all_go_on_when_the_last_one_has_come(threads):
    port = free_port()
    others = [come(threads, port, 2), come(threads, port, 0)]
    with pytest.raises(TimeoutError):
        others[0].result(timeout=0.5)
    for process in [*others, come(threads, port, 1)]:
        assert process.result(timeout=10) is None


def test_a_process_that_nobody_waits_for_is_told_and_the_others_go_on(threads):
    port = free_port()
    first = come(threads, port, 0)
    with pytest.raises(DigitsError, match=r"^this is process 2 of 4, but process 0 was told of 3 processes$"):
        come(threads, port, 2, processes=4).result(timeout=10)
    (late,), (good,) = wait([come(threads, port, 1), come(threads, port, 1)], 10, FIRST_COMPLETED)
    with pytest.raises(DigitsError, match=r"^this is process 1 of 3, but another one is process 1 already$"):
        late.result()
    for process in [first, good, come(threads, port, 2)]:
        assert process.result(timeout=10) is None


def test_whoever_is_none_of_them_is_sent_away(threads):
    port = free_port()
    good = [come(threads, port, process) for process in (0, 1)]
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"x" * 5000, b""):
        with connected(port) as stranger, suppress(ConnectionResetError):  # what it was not read is why
            stranger.sendall(words)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(100) == b""
    for process in [*good, come(threads, port, 2)]:
        assert process.result(timeout=10) is None


def connected(port):
    for _ in range(1000):
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        time.sleep(0.01)
    raise AssertionError("process 0 does not listen")


def test_who_did_not_come_is_named(threads):
    port = free_port()
    first, other = come(threads, port, 0, within_s=1), come(threads, port, 2, within_s=5)
    with pytest.raises(
        DigitsError, match=rf"^process 0 of 3 did not meet the others at \S+:{port}: nobody came as \[1\]$"
    ):
        first.result(timeout=10)
    with pytest.raises(DigitsError, match=r"process 2 of 3 .*: process 0 has ended$"):
        other.result(timeout=10)


def test_nobody_at_the_address_is_one_error_in_time(threads):
    with pytest.raises(DigitsError, match=r"process 1 of 3 did not meet the others .*: Connection refused$"):
        come(threads, free_port(), 1, within_s=0.5).result(timeout=10)


def test_a_port_that_another_program_has_is_an_error(threads):
    with (
        socket.create_server(("", 0)) as taken,
        pytest.raises(DigitsError, match=r"process 0 .*[Aa]ddress already in use"),
    ):
        come(threads, taken.getsockname()[1], 0).result(timeout=10)
