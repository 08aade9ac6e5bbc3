"""The headers of a request: how they are passed on, and how many and long they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers: TypeAlias = "Mapping[bytes, bytes]"
"""By name in lower case; of several with one name the last."""
HEAD_LIMIT_BYTES: Final = 2**16
"""Of request line and headers together; nginx's default is half of it."""
HEADERS_LIMIT: Final = 128
"""Headers of a request; Apache's default is 100."""
