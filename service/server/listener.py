"""A listener that lets nobody else in: it can be closed without a reset for those whom it has let in already."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Final

STOP_ACCEPTING_GRACE_S: Final = 0.05
"""So long after `stop_accepting` a handshake that has begun may take, and a request to arrive behind it."""
SO_BINDTOIFINDEX: Final = 62
NO_INTERFACE: Final = 2**31 - 1


def stop_accepting(listener: socket.socket) -> None:
    """From now on, new connections are refused; those that wait to be accepted can still be accepted.

    Linux resets the latter when the listener is closed, though their clients may have sent a request; and to accept all
    of them and then close it would lose those that come in between. So the listener is bound to a network interface
    that does not exist (socket(7), which any user may do from Linux 5.7 on). Elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)
