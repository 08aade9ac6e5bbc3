"""Stops a listening socket from accepting, without a reset of the connections in its backlog."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Final

STOP_ACCEPTING_GRACE_S: Final = 0.05
"""Time after `stop_accepting` for handshakes that have begun, and for the requests behind them to arrive."""
SO_BINDTOIFINDEX: Final = 62
NO_INTERFACE: Final = 2**31 - 1


def stop_accepting(listener: socket.socket) -> None:
    """Refuses new connections from now on; connections in the backlog can still be accepted.

    Linux resets the backlog when a listener is closed, though clients may have sent requests; to accept the whole
    backlog and then close would still reset connections that come in between. So the listener is bound to a network
    interface that does not exist (socket(7); from Linux 5.7 on any user may do so). No-op on other systems.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)
