"""The pictures of a request body in the native protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from training.images import Images


class Decoded(NamedTuple):
    """Pictures uint8 [n, 28, 28]; `many`: whether request and response have lists, or a single picture and answer."""

    images: Images
    many: bool
