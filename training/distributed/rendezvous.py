"""Rendezvous: the processes of a job meet over TCP before JAX connects them.

JAX would wait for missing processes in C++, where signals are ignored, and abort in the end; here a signal ends the
wait, and an error names the missing processes. Each process sends a line of JSON to process 0, which answers with an
empty line when all are there, or at once with an error.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import msgspec

from training.errors import DigitsError

RETRY_EVERY_S = 0.2
HELLO_WITHIN_S = 5.0
"""A connection from anything else, such as a port scanner, delays the processes for no longer."""
LONGEST_LINE = 1000


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of each process."""

    process: int
    processes: int


def meet(host: str, port: int, processes: int, process: int, *, within_s: float) -> None:
    """Returns when every process has connected to the address at which process 0 listens.

    Raises DigitsError when some are missing after `within_s`, and in a process whose number is taken, or that was given
    another number of processes than process 0.
    """
    deadline = time.monotonic() + within_s
    try:
        if process == 0:
            _gather(port, processes, deadline)
        else:
            _announce(host, port, Hello(process, processes), deadline)
    except OSError as error:
        found = error.strerror or str(error)
        raise DigitsError(
            f"process {process} of {processes} did not meet the others at {host}:{port}: {found}"
        ) from None


def _gather(port: int, processes: int, deadline: float) -> None:
    """Process 0: accepts connections until all processes are there."""
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
                hello = _receive(other)
                if hello.processes != processes:
                    _send(other, f"process 0 was told of {processes} processes")
                elif hello.process not in missing:
                    _send(other, f"another one is process {hello.process} already")
                else:
                    missing.remove(hello.process)
                    came.append(other)
            except (OSError, msgspec.DecodeError):
                other.close()  # no process of the job
        for other in came:
            _send(other, "")


def _announce(host: str, port: int, hello: Hello, deadline: float) -> None:
    """Every other process: connects to process 0, and waits for its answer."""
    with _connect(host, port, deadline) as first, first.makefile("rb") as words:
        _send(first, msgspec.json.encode(hello).decode())
        first.settimeout(_left_s(deadline))
        if not (word := words.readline(LONGEST_LINE)):
            raise ConnectionError("process 0 has ended")
        if wrong := word.decode(errors="replace").strip():
            raise DigitsError(f"this is process {hello.process} of {hello.processes}, but {wrong}")


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((host, port), timeout=_left_s(deadline))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_EVERY_S)


def _left_s(deadline: float) -> float:
    """The timeout until the deadline; above 0, which would make a socket non-blocking."""
    return max(deadline - time.monotonic(), 0.001)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _receive(other: socket.socket) -> Hello:
    other.settimeout(HELLO_WITHIN_S)
    with other.makefile("rb") as words:
        return msgspec.json.decode(words.readline(LONGEST_LINE), type=Hello)


def _send(other: socket.socket, line: str) -> None:
    other.sendall(line.encode() + b"\n")
