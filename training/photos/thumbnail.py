"""Small pictures cut close to the ink and enlarged: no camera, few pixels, either colour of paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from training.images import FULL_INK
from training.photos.family import Photo

if TYPE_CHECKING:
    from training.data.digits import Labels
    from training.images import Images
    from training.photos.canvas import Random

SIDES: Final = (8, 28)
"""Least and greatest height in pixels."""
TIMES: Final = (1, 24)
"""How many times it is enlarged."""
FILTERS: Final = tuple(Image.Resampling)


def thumbnail(images: Images, labels: Labels, random: Random) -> Photo:
    """The first digit, with up to a fifth of its height of paper around it."""
    there = images[0] > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    margins = random.integers(0, 5, 4)
    ink = np.pad(images[0][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], margins.reshape(2, 2))
    height = int(random.integers(*SIDES, endpoint=True))
    width = max(round(height * ink.shape[1] / ink.shape[0]), 2)
    small = Image.fromarray(ink).resize((width, height), Image.Resampling.BOX)
    times = int(random.integers(*TIMES, endpoint=True))
    large = small.resize((width * times, height * times), FILTERS[random.integers(len(FILTERS))])
    grey = np.asarray(large)
    return Photo(Image.fromarray(FULL_INK - grey if random.integers(2) else grey).convert("RGB"), str(labels[0]))
