"""Pictures as the bodies that a server understands, and the digits in its answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.load.workloads import Form

    Pixels = NDArray[np.uint8]
    """uint8 [n, 784]."""
    Dialect = Callable[[Form, Pixels], "Question"]
    """How a server is asked; the form `one` comes with one picture."""

JSON, OCTETS = "application/json", "application/octet-stream"


class Question(NamedTuple):
    """A POST."""

    path: str
    content_type: str
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


def plain(form: Form, pixels: Pixels) -> Question:
    """As the service is asked, and all servers whose form of JSON is ours to choose."""
    if form == "raw":
        return Question("/predict", OCTETS, pixels.tobytes())
    body = {"pixels": pixels[0].tolist()} if form == "one" else {"instances": pixels.tolist()}
    return Question("/predict", JSON, json.dumps(body).encode())


def bentoml(form: Form, pixels: Pixels) -> Question:
    """BentoML batches arrays, so that one picture is a list of one."""
    if form == "raw":
        return Question("/predict_bytes", OCTETS, pixels.tobytes())
    return Question("/predict", JSON, json.dumps({"instances": pixels.tolist()}).encode())


def open_inference(form: Form, pixels: Pixels) -> Question:
    """The Open Inference Protocol, which MLServer speaks; bytes go to a handler of our own."""
    if form == "raw":
        return Question("/predict_bytes", OCTETS, pixels.tobytes())
    tensor = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.ravel().tolist()}
    return Question("/v2/models/digits/infer", JSON, json.dumps({"inputs": [tensor]}).encode())


def digits_in(answer: bytes) -> list[int]:
    """The digit of each picture, from an answer in any of the forms that servers here give."""
    said: Any = json.loads(answer)
    match said:
        case {"digit": digit}:
            return [digit]
        case {"predictions": predictions}:
            return [prediction["digit"] for prediction in predictions]
        case {"outputs": [{"data": numbers}]}:
            probabilities = np.reshape(numbers, (-1, 10))
        case {"probabilities": rows}:
            probabilities = np.array(rows)
        case _:
            probabilities = np.array(said)
    return [int(digit) for digit in probabilities.argmax(axis=1)]
