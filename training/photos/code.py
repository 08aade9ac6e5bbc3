"""Codes for scanners: squares of modules, black and white at random, with what a scanner finds them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.photos.canvas import pick

if TYPE_CHECKING:
    from training.photos.canvas import Field, Random

FINDER = np.pad(np.pad(np.pad(np.ones((3, 3), np.float32), 1), 1, constant_values=1), ((0, 1), (0, 1)))
"""What is in three corners of a QR code, and its border towards the others, float32 [8, 8]."""


def qr(height_px: float, random: Random) -> Field:
    """Modules as those of a QR code of version 1 to 3, float32 [h, w]; it has no content."""
    count = pick(random, (21, 25, 29))
    modules = random.integers(0, 2, (count, count)).astype(np.float32)
    for rows, columns in ((1, 1), (1, -1), (-1, 1)):
        modules[::rows, ::columns][:8, :8] = FINDER
    return _enlarged(modules, height_px)


def data_matrix(height_px: float, random: Random) -> Field:
    """Modules as those of a Data Matrix, float32 [h, w]: two sides are full, two have every other module."""
    count = pick(random, (10, 12, 16, 20))
    modules = random.integers(0, 2, (count, count)).astype(np.float32)
    modules[0], modules[:, -1] = np.arange(count) % 2 == 0, np.arange(count) % 2 == 1
    modules[:, 0], modules[-1] = 1, 1
    return _enlarged(modules, height_px)


def _enlarged(modules: Field, side_px: float) -> Field:
    module_px = max(round(side_px / len(modules)), 1)
    return np.kron(modules, np.ones((module_px, module_px), np.float32))
