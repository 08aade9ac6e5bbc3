"""What has been received of a request: the end of its head, its first line, and numbers of bytes that are limited."""

from __future__ import annotations

import re
from typing import Final

from service.server.refusals import MALFORMED, MalformedRequest

END_OF_HEAD: Final = b"\r\n\r\n"
REQUEST_LINE: Final = re.compile(rb"[A-Z-]+ [!-~]+ HTTP/1\.[01]\r\n")
"""The first line of a request (RFC 9112, 3). The parser also accepts HTTP/0.9, HTTP/2.0 and several spaces."""


class Received:
    """What has been received of the current request, as far as it is limited or checked here."""

    __slots__ = ("framing", "head", "line", "tail")

    def __init__(self) -> None:
        self.framing = 0
        """Bytes around a chunked body: sizes of chunks and whatever else stands between these, less an allowance for
        the body. Bodies are limited where they are read."""
        self.begin()

    def begin(self) -> None:
        """Begins a head."""
        self.head = 0
        """Bytes of the head."""
        self.line: bytearray | None = bytearray()
        """The beginning of a request line that has not ended yet; None behind its end."""
        self.tail = b""
        """The last three bytes that were searched for END_OF_HEAD, which may come in two pieces."""

    def find_end_of_head(self, data: bytes, start: int) -> int:
        """The index in `data`, from `start` on, behind the next END_OF_HEAD; the end of the data if there is none."""
        tail = self.tail
        if tail and (found := (tail + data[start : start + 3]).find(END_OF_HEAD)) >= 0:
            end = start + found + len(END_OF_HEAD) - len(tail)
        else:
            found = data.find(END_OF_HEAD, start)
            end = found + len(END_OF_HEAD) if found >= 0 else len(data)
        self.tail = b"" if found >= 0 else (tail + data[start:end])[-3:]
        return end

    def check_line(self, piece: bytes) -> None:
        """Checks the request line when it has ended; `piece` is the next one of a head. Raises MalformedRequest."""
        if not self.line and REQUEST_LINE.match(piece):
            self.line = None
        elif self.line is not None:
            self.line += piece
            if piece.find(b"\n") >= 0:
                if not REQUEST_LINE.match(self.line):
                    raise MalformedRequest(MALFORMED)
                self.line = None
