"""Pixels from bodies, numbers in JSON or bytes, and bodies of answers. For servers that leave these to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = 784
BYTES = "application/octet-stream"


def pixels_of_json(body: dict[str, Any]) -> NDArray[np.uint8]:
    """uint8 [n, 784] of {"pixels": [784 numbers]} or {"instances": [[784 numbers], …]}."""
    numbers = body["instances"] if "instances" in body else [body["pixels"]]
    return np.array(numbers, np.uint8).reshape(-1, PIXELS)


def pixels_of_bytes(body: bytes) -> NDArray[np.uint8]:
    """uint8 [n, 784] of n * 784 bytes."""
    return np.frombuffer(body, np.uint8).reshape(-1, PIXELS)


def answer_of(probabilities: NDArray[np.float32]) -> bytes:
    """JSON with the ten probabilities of each picture."""
    return orjson.dumps({"probabilities": np.ascontiguousarray(probabilities)}, option=orjson.OPT_SERIALIZE_NUMPY)
