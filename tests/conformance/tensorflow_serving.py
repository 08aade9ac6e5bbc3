"""TensorFlow Serving's REST API, feature by feature, with what KServe's first protocol has otherwise.

https://www.tensorflow.org/tfx/serving/api_rest. What goes in is learned from the model's metadata, here or under /v2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.conformance import open_inference
from tests.conformance.feature import Deviation, Feature, NotOffered
from tests.conformance.tensors import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.server import Reply, Server

PROTOCOL: Final = "/v1 TensorFlow Serving"
DATATYPES: Final = {
    "DT_FLOAT": "FP32",
    "DT_DOUBLE": "FP64",
    "DT_UINT8": "UINT8",
    "DT_INT32": "INT32",
    "DT_INT64": "INT64",
}
NOBODY: Final = open_inference.NOBODY


def spoken(server: Server) -> bool:
    """Whether the server speaks it at all."""
    return server.get(f"/v1/models/{server.model}").status == 200


def _path(server: Server, end: str = "") -> str:
    return f"/v1/models/{server.model}{end}"


def _signature(server: Server) -> tuple[dict[str, Any], str]:
    said = server.get(_path(server, "/metadata")).offered().ok().json()
    try:
        return said["metadata"]["signature_def"]["signature_def"]["serving_default"], said["model_spec"]["name"]
    except (KeyError, TypeError):
        raise Deviation(f"the metadata are {str(said)[:100]}, want model_spec, and signature_def twice") from None


def _input(server: Server) -> Metadata:
    """The only input. Raises NotOffered when nothing says what it is."""
    try:
        signature, _ = _signature(server)
    except NotOffered:
        if not open_inference.spoken(server):
            raise NotOffered("the server does not say what goes in") from None
        (only,) = open_inference.inputs(server)[:1]
        return only
    name, said = next(iter(signature["inputs"].items()))
    shape = [int(dim["size"]) for dim in said["tensor_shape"]["dim"]]
    if len(signature["inputs"]) > 1 or said["dtype"] not in DATATYPES:
        raise NotOffered("only models with one input of numbers are asked")
    return Metadata(name, DATATYPES[said["dtype"]], shape)


def _rows(server: Server, rows: int = 1) -> list[Any]:
    shape = _input(server).sized(rows)
    return np.zeros(shape, int).tolist() if math.prod(shape) else []


def _predict(server: Server, body: Any, of: str = "") -> Reply:
    return server.post(_path(server, f"{of}:predict"), body)


def _predictions(reply: Reply, key: str, rows: int) -> list[Any]:
    said = reply.ok().json()
    if type(said) is not dict or type(said.get(key)) is not list:
        raise Deviation(f'{reply}, want "{key}": a list')
    if len(said[key]) != rows:
        raise Deviation(f"{rows} rows were sent, and {len(said[key])} {key} came back")
    return said[key]


def _status(server: Server) -> str:
    said = server.get(_path(server)).ok().json()
    if type(said) is not dict or not ({"model_version_status"} <= said.keys() or {"name", "ready"} <= said.keys()):
        raise Deviation(f'the status is {str(said)[:100]}, want "model_version_status", or "name" and "ready"')
    for state in said.get("model_version_status", []):
        if not {"version", "state", "status"} <= state.keys() or type(state["version"]) is not str:
            raise Deviation(f'a version is {state}, want "version" (a string), "state" and "status"')
    return ", ".join(said)


def _kserve(server: Server) -> str:
    said = server.get(_path(server)).ok().json()
    if said.get("name") != server.model or said.get("ready") is not True:
        raise NotOffered("the status has no name, or is not ready")
    return "name, ready"


def _listed(server: Server) -> str:
    said = server.get("/v1/models").offered().ok().json()
    if type(said) is not dict or server.model not in said.get("models", []):
        raise Deviation(f"GET /v1/models says {str(said)[:100]}, want {server.model} among models")
    return ", ".join(said["models"])


def _metadata(server: Server) -> str:
    signature, name = _signature(server)
    if name != server.model:
        raise Deviation(f"model_spec.name is {name!r}, want {server.model!r}")
    return f"{', '.join(signature['inputs'])} -> {', '.join(signature['outputs'])}"


def _row_form(server: Server) -> str:
    (first, *_) = _predictions(_predict(server, {"instances": _rows(server)}), "predictions", 1)
    return f"a prediction is {'a list of ' + str(len(first)) if type(first) is list else type(first).__name__}"


def _several_rows(server: Server) -> str:
    _predictions(_predict(server, {"instances": _rows(server, 3)}), "predictions", 3)
    return "3 rows in, 3 rows out"


def _column_form(server: Server) -> str:
    reply = _predict(server, {"inputs": _rows(server)})
    if reply.status in range(400, 500):
        raise NotOffered(str(reply))
    _predictions(reply, "outputs", 1)
    return "200"


def _named(server: Server) -> str:
    name = _input(server).name
    reply = _predict(server, {"instances": [{name: row} for row in _rows(server)]})
    if reply.status in range(400, 500):
        raise NotOffered(str(reply))
    _predictions(reply, "predictions", 1)
    return f'{{"{name}": …}}'


def _signature_name(server: Server) -> str:
    reply = _predict(server, {"signature_name": "serving_default", "instances": _rows(server)})
    _predictions(reply, "predictions", 1)
    return "serving_default"


def _texts(server: Server) -> str:
    replies = [_predict(server, body(server)) for body in WRONG.values()]
    texts = [reply.error() for reply in (server.get(f"/v1/models/{NOBODY}"), *replies)]
    return f"{len(texts)} errors, as: {texts[-1]}"


def _refusal(body: Callable[[Server], Any]) -> Callable[[Server], str]:
    return lambda server: _predict(server, body(server)).refused()


def _unknown_signature(server: Server) -> str:
    reply = _predict(server, {"signature_name": "nobody_signs_so", "instances": _rows(server)})
    if reply.status == 200:
        raise NotOffered("an unknown signature is answered with 200")
    return reply.refused()


def _unknown_model(server: Server) -> str:
    server.post(f"/v1/models/{NOBODY}:predict", {"instances": _rows(server)}).refused()
    return server.get(f"/v1/models/{NOBODY}").refused(404)


def _versions(server: Server) -> str:
    states = server.get(_path(server)).ok().json().get("model_version_status")
    if not states:
        raise NotOffered("the status has no versions")
    number = next(state["version"] for state in states if state["state"] == "AVAILABLE")
    (state,) = server.get(_path(server, f"/versions/{number}")).ok().json()["model_version_status"]
    if state["version"] != number:
        raise Deviation(f"version {number} was asked for, and the status is that of {state['version']}")
    _predictions(_predict(server, {"instances": _rows(server)}, f"/versions/{number}"), "predictions", 1)
    server.get(_path(server, "/versions/987654321")).refused()
    return number


def _feature(name: str, check: Callable[[Server], str], *, required: bool = True) -> Feature:
    return Feature(PROTOCOL, name, required, check)


WRONG: Final = {
    "a body that is not JSON is an error": lambda _: b'{"instances": [',
    "a body without pictures is an error": lambda _: {"signature_name": "serving_default"},
    "both forms at once are an error": lambda server: {"instances": _rows(server), "inputs": _rows(server)},
    "a short row is an error": lambda server: {"instances": [_rows(server)[0][:-1]]},
}
FEATURES: Final = (
    _feature("status", _status),
    _feature("status as KServe has it", _kserve, required=False),
    _feature("names of models", _listed, required=False),
    _feature("metadata", _metadata, required=False),
    _feature("row form", _row_form),
    _feature("row form, several rows", _several_rows),
    _feature("row form, named inputs", _named, required=False),
    _feature("column form", _column_form, required=False),
    _feature("signature_name", _signature_name, required=False),
    _feature("an unknown signature is an error", _unknown_signature, required=False),
    _feature("versions", _versions, required=False),
    _feature("an unknown model is an error", _unknown_model),
    *(_feature(name, _refusal(body)) for name, body in WRONG.items()),
    _feature('errors are {"error": text}', _texts),
)
