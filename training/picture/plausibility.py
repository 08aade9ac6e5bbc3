"""How plausible it is that a group of parts is the digit that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.picture.parts import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.picture.view import View

    Features = NDArray[np.float64]

FEATURES: Final = (
    *("contrast", "clear", "size", "place", "edge", "fill", "pen", "narrow", "sharp", "even", "strong", "others"),
    *("largest", "rivals", "inside", "expected", "clean", "fainter", "window", "thin", "lines", "pieces", "count"),
    *("black", "drawn", "solid"),
)


NOISELESS: Final = 4.0
"""Pictures in which ink is clearer are drawings; their border says more about the colour of the ink."""
FULL_BOX, LOG_ASPECT = 0.7, 0.5
"""The feature `solid`: the bounding box is filled to more than the first share, as discs, squares and a few digits are,
and the logarithm of its width by its height is nearer to 0 than the second."""


def describe(view: View, group: list[int], *, expected: bool) -> Features:
    """The features of a group of a view's parts; `expected`: whether the border speaks for this colour of ink."""
    parts, (height, width) = view.parts, view.dark.shape
    side = min(height, width)
    box = parts.box(group)
    top, bottom, left, right = box
    tall, wide = bottom - top, right - left
    size = max(tall, wide)
    area, mass, outline, at_edge = (of[group].sum() for of in (parts.area, parts.mass, parts.outline, parts.at_edge))
    mean, pen = parts.mean(group), parts.pen(group)
    y, x = ((top + bottom) / 2 - height / 2) / side, ((left + right) / 2 - width / 2) / side
    others = np.where(np.isin(np.arange(len(parts)), group), 0, parts.mass)
    values = {
        "contrast": np.log(mean),
        "clear": np.log((view.full - view.floor) / max(view.floor, 0.004)),
        "size": np.log(size / side),
        "place": y * y + x * x,
        "edge": at_edge / size,
        "fill": area / (tall * wide),
        "pen": np.log(pen / size),
        "narrow": np.log(wide / tall),
        "sharp": np.log(max(parts.step[group].sum() / max(outline - at_edge, 1), 1e-3) / mean),
        "even": np.sqrt(max(parts.squares[group].sum() / area - mean * mean, 0)) / mean,
        "strong": mean / view.full,
        "others": np.log1p(others.sum() / mass),
        "largest": min(others.max() / mass, 3.0),
        "rivals": min(others[parts.at_edge == 0].max(initial=0) / mass, 3.0),
        "inside": np.log1p(others[overlap(parts.boxes, box)].sum() / mass),
        "expected": float(expected),
        "clean": float(view.window == 0),
        "fainter": float(view.fainter),
        "window": np.log(view.window * side / pen) if view.window else 0.0,
        "thin": np.log(pen),
        "lines": float(view.lines.mean() * 10),
        "pieces": float(len(group)),
        "count": np.log1p(len(parts)),
        "black": float(view.ink == "black"),
    }
    values["drawn"] = values["expected"] * (values["clear"] > NOISELESS)
    values["solid"] = float(values["fill"] > FULL_BOX and abs(values["narrow"]) < LOG_ASPECT)
    return np.array([values[name] for name in FEATURES])


SPREAD_LIMIT: Final = 4.0
"""Squares are of at most so many standard deviations."""
WEIGHTS: Final = {
    "contrast": (-0.575, 0.471, -0.164, -0.0873, 0.363, -0.165),
    "clear": (0.932, 1.84, 1, -0.159, 0.15, -0.0475),
    "size": (-1.25, 0.917, -0.401, 0.346, 0.971, -0.75),
    "place": (0.0809, 0.114, -1.11, 0.466, -0.649, -0.103),
    "edge": (0.261, 0.596, -0.395, -0.38, 0.205, -0.769),
    "fill": (0.473, 0.239, 0.105, -0.816, -0.404, -0.326),
    "pen": (-2.12, 0.891, 0.732, -0.737, 1.02, -1.78),
    "narrow": (-0.0835, 0.787, -1.47, -1.06, -2.08, -0.757),
    "sharp": (-0.828, 0.634, 0.167, 0.135, -0.221, 0.000915),
    "even": (0.168, 0.13, 0.146, -0.153, 0.103, 0.824),
    "strong": (0.798, 0.157, 0.137, -0.114, 0.511, -0.659),
    "others": (1.23, 1.19, -0.385, -0.207, -0.375, -0.524),
    "largest": (1.3, 1.28, -0.58, 0.0923, 0.221, -0.564),
    "rivals": (1.05, 1.25, -1.27, -0.2, -0.869, 1.08),
    "inside": (0.286, 0.699, -0.234, 0.268, 0.317, 0.244),
    "expected": (0.375, 0.484, 0.17, 0.0882, -0.144, -0.198),
    "clean": (0.0135, 0.116, -8.56e-10, -1.96e-09, -0.143, -0.293),
    "fainter": (0.498, 0.5, -0.0074, -4.84e-05, -0.178, -0.125),
    "window": (1.63, 0.785, 0.333, -0.202, -0.223, 0.216),
    "thin": (1.82, 0.847, 0.336, -0.447, -0.428, -0.0266),
    "lines": (0.027, 0.109, 0.077, 0.0564, 0.349, 0.21),
    "pieces": (4.57, 20, -0.41, -0.049, -0.391, 0.0319),
    "count": (2.61, 1.38, -1.57, 0.838, -1.4, 0.344),
    "black": (0.374, 0.484, 0.582, 0.304, -0.252, -0.256),
    "drawn": (0.0542, 0.226, 0.0097, 0.035, 0.0303, -0.00465),
    "solid": (0.0861, 0.281, -0.00495, -0.0146, -0.0343, -0.225),
}
"""By feature: mean and standard deviation; weights of the standardised feature and of its square for the choice among
candidates, and for the clarity of the chosen one, fitted to photos of training digits
(`python -m tests.photos.plausibility`)."""
CLEAR: Final = -0.004
"""1.2 % of the photos that the weights are fitted to have a lower clarity."""
SOMETHING: Final = CLEAR - 4
"""A photo of lower clarity shows nothing."""
_MEAN, _SPREAD, *_WEIGHTS = np.array([WEIGHTS[name] for name in FEATURES]).T
_CHOICE, _CLARITY = np.concatenate(_WEIGHTS[:2]), np.concatenate(_WEIGHTS[2:])


def plausibility(features: Features) -> float:
    """The score of a candidate, in natural units of logits: of two, the one with the higher score is more plausible."""
    return float(terms((features - _MEAN) / _SPREAD) @ _CHOICE)


def clarity(features: Features) -> float:
    """How sure it is that the most plausible candidate is a digit, in natural units of logits."""
    return float(terms((features - _MEAN) / _SPREAD) @ _CLARITY)


def terms(standard: Features) -> Features:
    """Standardised features [..., m] and their squares: [..., 2 m]."""
    return np.concatenate([standard, np.clip(standard, -SPREAD_LIMIT, SPREAD_LIMIT) ** 2], axis=-1)
