"""Shapes: corners of triangles, stars, arrows and others, drawn as outlines or filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.photos.drawing import polygon

if TYPE_CHECKING:
    from training.photos.drawing import Points


def star(corners: int, inner: float) -> Points:
    """Corners [2 * corners, 2] of a star; with `inner` 1 those of a regular polygon."""
    angles = np.arange(2 * corners) * np.pi / corners - np.pi / 2
    radii = np.where(np.arange(2 * corners) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


CROSS = np.array(
    [
        *((-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)),
        *((0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)),
    ]
)
ARROW = np.array([(-1, -0.25), (0.2, -0.25), (0.2, -0.7), (1, 0), (0.2, 0.7), (0.2, 0.25), (-1, 0.25)])
HOUSE = np.array([(-0.8, -0.1), (0, -1), (0.8, -0.1), (0.6, -0.1), (0.6, 1), (-0.6, 1), (-0.6, -0.1)])
SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
SHAPES = (  # for choices
    *(polygon(SQUARE[:3], filled=filled) for filled in (False, True)),
    *(polygon(SQUARE, filled=filled) for filled in (False, True)),
    *(polygon(star(5, 0.42), filled=filled) for filled in (False, True)),
    *(polygon(CROSS, filled=filled) for filled in (False, True)),
    polygon(star(24, 1), filled=True),  # a disc; drawn as an outline it would be a zero
)
TEST_SHAPES = (  # for figures
    *(polygon(ARROW, filled=filled) for filled in (False, True)),
    *(polygon(HOUSE, filled=filled) for filled in (False, True)),
    *(polygon(star(4, 0.35), filled=filled) for filled in (False, True)),
    *(polygon(star(8, 0.6), filled=filled) for filled in (False, True)),
    polygon(star(3, 1), filled=True),
)
