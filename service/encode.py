"""Probabilities -> answers in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from service.errors import BrokenAnswer

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
"""float32 as it is, 0.998 and not 0.9980000257492065; and a prompt that curl does not write over."""


def encode_json(probabilities: NDArray[np.float32], *, name: str, version: int, many: bool) -> bytes:
    """The answer for probabilities float32 [n, 10]; n is 1 unless the request was for many pictures.

    Raises BrokenAnswer for probabilities that are not finite: JSON has no word for them.
    """
    confidences = probabilities.max(axis=1)  # [n], not finite where one of a row is not
    if not np.isfinite(confidences).all():
        raise BrokenAnswer(f"{name} version {version} answered with probabilities that are not finite")
    digits = probabilities.argmax(axis=1).tolist()
    predictions = [
        {"digit": digit, "confidence": confidence, "probabilities": row}
        for digit, confidence, row in zip(digits, confidences, probabilities, strict=True)
    ]
    model = {"name": name, "version": version}
    if many:
        return orjson.dumps({"predictions": predictions, "model": model}, option=OPTIONS)
    return orjson.dumps({**predictions[0], "model": model}, option=OPTIONS)
