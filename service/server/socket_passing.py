"""Passing accepted connections from the supervisor to its workers, over a socket pair (SCM_RIGHTS of unix(7)).

Processes that accept from a common socket share unevenly: of a burst of 64 connections one process may take 40. Here
connections are dispatched in turn, as Node's cluster module does it.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGE: Final = b"c"
"""The byte that each descriptor comes with: a message without one is the end of the channel."""


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends, both non-blocking: connections are sent into the first, and received from the second."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def send_connection(connection: socket.socket, ends: Sequence[socket.socket]) -> socket.socket | None:
    """Sends a connection into the first channel that has room, and closes it here.

    Returns the end of that channel, or None if no channel has room: then the client's connection is closed.
    """
    with connection:
        for end in ends:
            try:
                socket.send_fds(end, [MESSAGE], [connection.fileno()])
            except OSError:  # the receiver has ended, or its channel is full
                continue
            return end
    return None


def receive_connection(end: socket.socket) -> socket.socket | None:
    """The next connection; None when the channel was closed at the other end.

    Raises BlockingIOError when no connection waits, and OSError (EMFILE) when one was lost because this process has no
    file descriptor left.
    """
    message, descriptors, *_ = socket.recv_fds(end, len(MESSAGE), 1)
    if not message:
        return None
    if not descriptors:
        raise OSError(errno.EMFILE, "a connection was handed out, and there was no descriptor left for it")
    return socket.socket(fileno=descriptors[0])
