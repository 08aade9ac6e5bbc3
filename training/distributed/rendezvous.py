"""Processes that are to train together find each other before JAX is asked to connect them.

JAX waits for the others in C++, deaf to signals, and aborts when nobody comes; here a signal ends the wait, and an
error says who is missing. Each process sends a line of JSON to process 0, which answers with an empty line when all
are there, or at once with what is wrong.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import msgspec

from training.errors import DigitsError

KNOCK_EVERY_S = 0.2
HELLO_WITHIN_S = 5.0
"""What is no process of ours, such as a port scanner, holds the others up for no longer."""
LONGEST_LINE = 1000


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process says of itself."""

    process: int
    processes: int


def meet(host: str, port: int, processes: int, process: int, *, within_s: float) -> None:
    """Returns when every process has come to the address at which process 0 listens.

    Raises DigitsError when some have not come in time, and in a process that another one already is, or that was told
    of another number of processes than process 0.
    """
    deadline = time.monotonic() + within_s
    try:
        if process == 0:
            _gather(port, processes, deadline)
        else:
            _come(host, port, Hello(process, processes), deadline)
    except OSError as error:
        found = error.strerror or str(error)
        raise DigitsError(
            f"process {process} of {processes} did not meet the others at {host}:{port}: {found}"
        ) from None


def _gather(port: int, processes: int, deadline: float) -> None:
    """Process 0 waits until all the others have come."""
    missing = set(range(1, processes))
    came: list[socket.socket] = []
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(port))
        while missing:
            listener.settimeout(_left_s(deadline))
            try:
                other, _ = listener.accept()
            except TimeoutError:
                raise TimeoutError(f"nobody came as {sorted(missing)}") from None
            stack.enter_context(other)
            try:
                hello = _hear(other)
                if hello.processes != processes:
                    _say(other, f"process 0 was told of {processes} processes")
                elif hello.process not in missing:
                    _say(other, f"another one is process {hello.process} already")
                else:
                    missing.remove(hello.process)
                    came.append(other)
            except (OSError, msgspec.DecodeError):
                other.close()  # it was none of us
        for other in came:
            _say(other, "")


def _come(host: str, port: int, hello: Hello, deadline: float) -> None:
    """Another process knocks until process 0 opens, and waits for its word."""
    with _knock(host, port, deadline) as first, first.makefile("rb") as words:
        _say(first, msgspec.json.encode(hello).decode())
        first.settimeout(_left_s(deadline))
        if not (word := words.readline(LONGEST_LINE)):
            raise ConnectionError("process 0 has ended")
        if wrong := word.decode(errors="replace").strip():
            raise DigitsError(f"this is process {hello.process} of {hello.processes}, but {wrong}")


def _knock(host: str, port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((host, port), timeout=_left_s(deadline))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(KNOCK_EVERY_S)


def _left_s(deadline: float) -> float:
    """What a socket may still wait; 0 would make it wait for nothing at all."""
    return max(deadline - time.monotonic(), 0.001)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _hear(other: socket.socket) -> Hello:
    other.settimeout(HELLO_WITHIN_S)
    with other.makefile("rb") as words:
        return msgspec.json.decode(words.readline(LONGEST_LINE), type=Hello)


def _say(other: socket.socket, line: str) -> None:
    other.sendall(line.encode() + b"\n")
