"""The channel between the supervisor and a worker: accepted connections one way, heartbeats the other way.

It is a socket pair, and connections are passed by SCM_RIGHTS of unix(7). Processes that accept from a common socket
share unevenly: of a burst of 64 connections one process may take 40. Here connections are dispatched in turn, as Node's
cluster module does it.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGE: Final = b"c"
"""The byte that each descriptor comes with: a message without one is the end of the channel."""
HEARTBEAT: Final = b"h"
HEARTBEAT_INTERVAL_S: Final = 1.0


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends, both non-blocking: connections are sent into the first, and received from the second."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def send_connection(connection: socket.socket, ends: Sequence[socket.socket]) -> socket.socket | None:
    """Sends a connection into the first channel that has room, and closes it here.

    Returns the end of that channel, or None if no channel has room: then the connection is still open here.
    """
    for end in ends:
        try:
            socket.send_fds(end, [MESSAGE], [connection.fileno()])
        except OSError:  # the receiver has ended, or its channel is full
            continue
        connection.close()
        return end
    return None


def receive_connection(end: socket.socket) -> socket.socket | None:
    """The next connection; None when the channel was closed at the other end.

    Raises BlockingIOError when no connection waits, and OSError (EMFILE) when one was lost because this process has no
    file descriptor left.
    """
    try:
        message, descriptors, *_ = socket.recv_fds(end, len(MESSAGE), 1)
    except ConnectionResetError:  # once, where the other end was closed with heartbeats in it
        message, descriptors, *_ = socket.recv_fds(end, len(MESSAGE), 1)
    if not message:
        return None
    if not descriptors:
        raise OSError(errno.EMFILE, "a connection was handed out, and there was no descriptor left for it")
    return socket.socket(fileno=descriptors[0])


def send_heartbeat(end: socket.socket) -> None:
    """Says that the receiving end is alive. Never blocks; does nothing if the other end is full or closed."""
    with suppress(OSError):
        end.send(HEARTBEAT)


def receive_heartbeats(end: socket.socket) -> bool:
    """Whether a heartbeat has come to the sending end since the last call."""
    found = False
    with suppress(OSError):  # none is left
        while end.recv(len(HEARTBEAT)):
            found = True
    return found


def stop_receiving(end: socket.socket) -> None:
    """Refuses further connections: sending into this channel fails from now on; what it holds can be received."""
    with suppress(OSError):  # the other end is closed
        end.shutdown(socket.SHUT_RD)
