"""Pictures as a body holds them, in the service's own protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from training.images import Images


class Decoded(NamedTuple):
    """Pictures uint8 [n, 28, 28], and whether they came as a list: the answer takes the same form."""

    images: Images
    many: bool
