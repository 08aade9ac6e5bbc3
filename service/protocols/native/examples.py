"""Example requests of the OpenAPI page: complete pictures, ready to be pasted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.images import FULL_INK, SIDE

if TYPE_CHECKING:
    from training.images import Images

    Stroke = list[tuple[float, float]]

SEVEN: Final[list[Stroke]] = [[(7, 8), (20, 8), (12, 23)]]
FOUR: Final[list[Stroke]] = [[(10, 5), (8, 14), (19, 14)], [(18, 6), (17, 23)]]


def drawn(strokes: list[Stroke], radius: float = 1.2) -> Images:
    """A picture uint8 [28, 28] of strokes, each a line through points (x, y) in pixels, with soft edges."""
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.full((SIDE, SIDE), np.inf)
    for stroke in strokes:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            distance = np.minimum(distance, np.hypot(x - x0 - along * dx, y - y0 - along * dy))
    return np.rint(FULL_INK * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)


def answers() -> dict[str, Any]:
    """The OpenAPI `examples` of answers of `POST /predict`, by name."""
    probabilities = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.998, 0.0, 0.002]
    seven = {"digit": 7, "confidence": 0.998, "probabilities": probabilities, "accepted": True, "reason": None}
    unsure = seven | {"confidence": 0.61, "accepted": False, "reason": "uncertain"}
    unsure["probabilities"] = [0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.61, 0.0, 0.14]
    model = {"name": "lenet", "version": 3}
    boxes = [{"left": left, "top": 0.2, "width": 0.2, "height": 0.5} for left in (0.2, 0.6)]
    digits = [{**one, "box": box} for one, box in zip((seven, unsure), boxes, strict=True)]
    return {
        "one picture": {"summary": "To one picture", "value": {**seven, "model": model}},
        "a list of pictures": {"summary": "To several", "value": {"predictions": [seven, unsure], "model": model}},
        "a line": {"summary": "To ?read=line", "value": {"text": "77", "predictions": digits, "model": model}},
    }


def bodies() -> dict[str, Any]:
    """The OpenAPI `examples` of request bodies for `POST /predict`, by name."""
    seven, four = drawn(SEVEN), drawn(FOUR)
    return {
        "one picture": {
            "summary": "A seven: 784 numbers, row by row, 0 is background and 255 is ink",
            "value": {"pixels": seven.ravel().tolist()},
        },
        "one picture, 28 x 28, from 0 to 1": {
            "summary": "The same seven as 28 rows of 28 numbers; scale says that 1 is ink",
            "value": {"pixels": np.round(seven / FULL_INK, 3).tolist(), "scale": 1},
        },
        "a list of pictures": {
            "summary": "A seven and a four",
            "value": {"instances": [seven.ravel().tolist(), four.ravel().tolist()]},
        },
    }
