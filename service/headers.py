"""Request headers: their type, and the limits of their number and size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers: TypeAlias = "Mapping[bytes, bytes]"
"""Header name in lower case -> value; the last value of a repeated header."""
HEAD_LIMIT_BYTES: Final = 2**16
"""Maximum size of request line and headers together; nginx's default is 2**15."""
HEADERS_LIMIT: Final = 128
"""Maximum number of headers of a request; Apache's default is 100."""
