"""The transport of answers: head and body leave in one system call, and no answer is lost when a connection closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

FINAL_STATUS: Final = tuple(f"HTTP/1.1 {digit}".encode() for digit in range(2, 6))


class ClientTransport:
    """A transport that delays the head of an answer and sends it together with the first bytes of the body.

    So an answer takes one system call and wakes its client once. ASGI allows a server to delay "http.response.start".
    `linger` is called before the connection is closed: if it returns True, only the sending half is closed; `abort` or
    another `close` closes the other half. All other methods are those of the wrapped transport.
    """

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], bool]) -> None:
        self._transport, self._head, self._linger = transport, b"", linger
        self._half_closed = False
        self.is_closing = transport.is_closing  # called for each answer: without the detour over __getattr__

    def write(self, data: bytes) -> None:
        """Delays data that looks like the head of an answer; sends other data, behind a delayed head if any.

        Drops data behind the last answer.
        """
        if self._half_closed:
            return
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif data.startswith(FINAL_STATUS) and data.endswith(b"\r\n\r\n"):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Sends the delayed head, if there is one."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Closes the transport, or its sending half, when everything is sent."""
        self.flush()
        if self._half_closed or not self._linger():
            self._transport.close()
            return
        self._half_closed = True
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
