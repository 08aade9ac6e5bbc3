"""Passing accepted connections from the supervisor to a worker over a Unix socket, and heartbeats back."""

import socket
from contextlib import ExitStack, suppress

import pytest

from service.server.socket_passing import (
    channel,
    receive_connection,
    receive_heartbeats,
    send_connection,
    send_heartbeat,
    stop_receiving,
)


@pytest.fixture
def channels():
    with ExitStack() as stack:
        made = [channel() for _ in range(3)]
        for ends in made:
            for end in ends:
                stack.enter_context(end)
        yield made


@pytest.fixture
def connection():
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            yield client, server


def test_who_takes_a_connection_speaks_with_the_client(channels, connection):
    client, server = connection
    (giving, taking), *_ = channels
    assert send_connection(server, [giving]) is giving
    assert server.fileno() == -1, "the giver has let go of it"
    with receive_connection(taking) as taken:
        taken.sendall(b"hello")
        assert client.recv(5) == b"hello"
    assert client.recv(5) == b"", "and nobody else holds it"


def test_nothing_to_take_is_no_end(channels):
    (giving, taking), *_ = channels
    with pytest.raises(BlockingIOError):
        receive_connection(taking)
    giving.close()
    assert receive_connection(taking) is None


def test_whoever_is_gone_or_far_behind_is_passed_over(channels, connection):
    _, server = connection
    (gone, its), (full, _), (last, taking) = channels
    its.close()
    with suppress(BlockingIOError):
        while True:
            full.send(b"x")
    assert send_connection(server, [gone, full, last]) is last
    receive_connection(taking).close()


def test_a_connection_that_nobody_takes_stays_open_and_can_be_sent_again(channels, connection):
    """It was closed: its client got an empty answer where it could have waited."""
    client, server = connection
    (gone, its), (giving, taking), *_ = channels
    its.close()
    assert send_connection(server, [gone]) is None
    assert send_connection(server, [giving]) is giving
    with receive_connection(taking) as taken:
        taken.sendall(b"hello")
        assert client.recv(5) == b"hello"


def test_who_receives_no_more_gets_what_is_in_the_channel(channels, connection):
    _, server = connection
    (giving, taking), (other, _), *_ = channels
    with server.dup() as second:
        send_connection(second, [giving])
        stop_receiving(taking)
        assert send_connection(server, [giving, other]) is other
    receive_connection(taking).close()
    assert receive_connection(taking) is None


def test_a_channel_that_is_closed_with_heartbeats_in_it_still_holds_what_was_sent(channels, connection):
    """Linux reports a reset first."""
    _, server = connection
    (giving, taking), *_ = channels
    send_connection(server, [giving])
    send_heartbeat(taking)
    giving.close()
    receive_connection(taking).close()
    assert receive_connection(taking) is None


def test_heartbeats_come_the_other_way_and_never_block(channels):
    (giving, taking), *_ = channels
    assert not receive_heartbeats(giving)
    for _ in range(10_000):  # more than there is room for
        send_heartbeat(taking)
    assert receive_heartbeats(giving)
    assert not receive_heartbeats(giving)
    stop_receiving(taking)
    send_heartbeat(taking)
    assert receive_heartbeats(giving), "a worker that drains is alive"
    giving.close()
    send_heartbeat(taking)


def test_a_connection_for_which_no_descriptor_was_left_is_an_error_and_the_next_one_is_taken(channels, connection):
    _, server = connection
    (giving, taking), *_ = channels
    giving.send(b"c")  # as the kernel delivers it to a process that has no more of them
    send_connection(server, [giving])
    with pytest.raises(OSError, match="no descriptor left"):
        receive_connection(taking)
    receive_connection(taking).close()
