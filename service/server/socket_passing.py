"""Connections that one process accepts and others serve, over a socket between them (SCM_RIGHTS of unix(7)).

Processes that accept from a common socket take whole bursts each: of 64 connections one may get 40. Here they are dealt
out in turn, as Node's cluster does it.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

A_CONNECTION: Final = b"c"


def channel() -> tuple[socket.socket, socket.socket]:
    """Two ends: one to give connections to, and one to take them from; neither ever waits."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def send_connection(connection: socket.socket, ends: Sequence[socket.socket]) -> socket.socket | None:
    """Gives a connection to the first end that takes it, which is returned, and lets go of it."""
    with connection:
        for end in ends:
            try:
                socket.send_fds(end, [A_CONNECTION], [connection.fileno()])
            except OSError:  # whoever was to take it is gone, or far behind
                continue
            return end
    return None


def receive_connection(end: socket.socket) -> socket.socket | None:
    """The next connection. None: nobody gives any more.

    Raises BlockingIOError when there is none at the moment, and OSError when one is lost, for this process may have no
    more descriptors.
    """
    message, descriptors, *_ = socket.recv_fds(end, len(A_CONNECTION), 1)
    if not message:
        return None
    if not descriptors:
        raise OSError(errno.EMFILE, "a connection was handed out, and there was no descriptor left for it")
    return socket.socket(fileno=descriptors[0])
