"""Photos inside the page: what was sent, what the network saw of it, and what it read, ten for each family."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from training.answers import REASONS
from training.evaluation.photo_errors import see
from training.images import SIDE
from training.photos.families import TEST_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.data.digits import Digits
    from training.evaluation.photo_errors import Seen
    from training.predictor import Predictor

SHOWN: Final = 10
"""Number of photos of a family."""
ZOOM: Final = 3
TILE: Final = SIDE * ZOOM
"""Side in pixels of a photo, and of what was seen of it."""
GAP: Final = 4
QUALITY: Final = 80
"""Of JPEG."""


class PhotoStrip(NamedTuple):
    """Photos of a family: above what was sent, below what was seen."""

    title: str
    held_out: bool
    jpeg: str
    """A data: URL."""
    reads: list[str]
    """What was read in each."""


class Photos(NamedTuple):
    """A strip for each family, as the champion of a model reads them."""

    model: str
    strips: list[PhotoStrip]


def photo_strips(
    predictor: Predictor, digits: Digits, watch: Callable[[str], None] = lambda _: None
) -> list[PhotoStrip]:
    """A strip for each family, of photos made from `digits`; `watch` is called with the title of each family."""
    strips = []
    for family in TEST_FAMILIES.values():
        watch(family.title)
        seen = list(see(predictor, family, digits, SHOWN))
        strips.append(PhotoStrip(family.title, family.held_out, _jpeg(seen), [_read(one) for one in seen]))
    return strips


def _read(seen: Seen) -> str:
    if seen.read is None:
        return "nothing found"
    found = seen.line if seen.line is not None else str(seen.read)
    reason = REASONS[seen.verdict]
    return f"{found} ({reason.replace('_', ' ')})" if reason and seen.line is None else found


def _jpeg(seen: list[Seen]) -> str:
    sheet = Image.new("RGB", (len(seen) * (TILE + GAP) - GAP, 2 * TILE + GAP), "white")
    for place, one in enumerate(seen):
        sent = one.image.copy()
        sent.thumbnail((TILE, TILE))
        left = place * (TILE + GAP)
        sheet.paste(sent, (left + (TILE - sent.width) // 2, (TILE - sent.height) // 2))
        pixels = np.zeros((SIDE, SIDE), np.uint8) if one.pixels is None else one.pixels
        sheet.paste(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.NEAREST), (left, TILE + GAP))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
