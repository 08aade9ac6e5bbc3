"""A listener that lets nobody else in: it can be closed without a reset for those whom it has let in already."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from typing import Final

LAST_CALL_S: Final = 0.05
"""So long after `let_nobody_in` a handshake that has begun may take, and a request to arrive behind it."""
SO_ATTACH_FILTER: Final = 26
NO_SYN: Final = (  # of a segment that begins a connection nothing is kept, of any other all: socket(7), bpf(4)
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # of them SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


def let_nobody_in(listener: socket.socket) -> None:
    """From now on, whoever wants to connect gets no answer, and asks again in a second, when the listener is closed.

    Linux resets connections that wait to be accepted when their listener is closed, though their clients may have sent
    a request. To accept all and then close it would lose those that come in between. On other systems, does nothing.
    """
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in NO_SYN)
    held = ctypes.create_string_buffer(program)
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_SYN), ctypes.addressof(held)))
