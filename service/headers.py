"""The headers of a request, as the server has parsed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers: TypeAlias = "Mapping[bytes, bytes]"
"""By name in lower case; of several with one name the last."""
