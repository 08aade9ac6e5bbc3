"""Probabilities -> response bodies of the Open Inference Protocol, with tensors in JSON or in binary after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from service.http.media_types import JSON, OCTETS
from service.protocols.json_body import OPTIONS
from service.protocols.open_inference.binary_tensors import SIZE, bytes_of, joined
from service.protocols.open_inference.tensors import OUTPUT_METADATA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Probabilities = NDArray[np.float32]
    from service.protocols.open_inference.request import InferenceRequest, Output

DATATYPES = {output["name"]: output["datatype"] for output in OUTPUT_METADATA}


def encode_inference(
    request: InferenceRequest, probabilities: Probabilities, *, name: str, version: int
) -> tuple[bytes, str, list[tuple[bytes, bytes]]]:
    """Body, media type and headers of the response for probabilities float32 [n, 10]."""
    outputs: list[dict[str, Any]] = []
    tensors: list[bytes] = []
    for wanted in request.outputs:
        values, shape, datatype = _tensor(wanted, probabilities)
        output: dict[str, Any] = {"name": wanted.name, "datatype": datatype, "shape": shape}
        if wanted.binary:
            tensors.append(bytes_of(values))
            output["parameters"] = {SIZE: len(tensors[-1])}
        else:
            output["data"] = (
                values.ravel() if isinstance(values, np.ndarray) else [text for row in values for text in row]
            )
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": name, "model_version": str(version), "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    if not tensors:
        return orjson.dumps(answer, option=OPTIONS), JSON, []
    body, headers = joined(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), tensors)
    return body, OCTETS, headers


def _tensor(
    wanted: Output, probabilities: Probabilities
) -> tuple[np.ndarray[Any, Any] | list[list[str]], list[int], str]:
    """Values, shape and datatype of an output."""
    rows, classes = probabilities.shape
    if wanted.classes:
        best = min(wanted.classes, classes)
        return best_classes(probabilities, best), [rows, best], "BYTES"
    values: np.ndarray[Any, Any] = probabilities
    if wanted.name == "digit":
        values = probabilities.argmax(axis=1).astype(np.int64)
    elif wanted.name == "confidence":
        values = probabilities.max(axis=1)
    return np.ascontiguousarray(values), [*values.shape], DATATYPES[wanted.name]


def best_classes(probabilities: Probabilities, best: int) -> list[list[str]]:
    """The classification extension: strings `value:index` [n][best] of each row's best classes, best first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :best]
    return [[f"{row[index]:f}:{index}" for index in of] for row, of in zip(probabilities, order, strict=True)]
