"""The Open Inference Protocol, feature by feature.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and
Triton's extensions: what a server's metadata advertise must work. Where servers differ, only the status is looked at.
"""

from __future__ import annotations

from json import dumps
from typing import TYPE_CHECKING, Any, Final

from tests.conformance.feature import Deviation, Feature, NotOffered
from tests.conformance.server import read
from tests.conformance.tensors import Metadata, check_output, metadata_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.server import Reply, Server

PROTOCOL: Final = "/v2 Open Inference"
HEADER: Final = "Inference-Header-Content-Length"
NOBODY: Final = "a-model-that-nobody-has"


def spoken(server: Server) -> bool:
    """Whether the server speaks it at all."""
    return server.get("/v2").status == 200 or server.get("/v2/health/live").status == 200


def _path(server: Server, end: str = "") -> str:
    return f"/v2/models/{server.model}{end}"


def _metadata(server: Server) -> dict[str, Any]:
    said = server.get(_path(server)).ok().json()
    if type(said) is not dict or not {"name", "platform", "inputs", "outputs"} <= said.keys():
        raise Deviation(f'the model\'s metadata are {str(said)[:100]}, want "name", "platform", "inputs" and "outputs"')
    return said


def inputs(server: Server) -> list[Metadata]:
    """The inputs, as the model's metadata name them. Raises NotOffered when they name none."""
    found = [metadata_of(said, f"inputs[{i}]") for i, said in enumerate(_metadata(server)["inputs"] or [])]
    if not found:
        raise NotOffered("the model's metadata do not say what goes in")
    return found


def _outputs(server: Server) -> dict[str, Metadata]:
    found = [metadata_of(said, f"outputs[{i}]") for i, said in enumerate(_metadata(server)["outputs"] or [])]
    return {output.name: output for output in found}


def _request(server: Server, rows: int = 1, *, nested: bool = False, **more: Any) -> dict[str, Any]:
    return {"inputs": [tensor.tensor(rows, nested=nested) for tensor in inputs(server)], **more}


def _infer(server: Server, body: Any, headers: dict[str, str] | None = None, *, of: str = "") -> Reply:
    return server.post(_path(server, f"{of}/infer"), body, headers)


def _answer(server: Server, reply: Reply, rows: int = 1) -> dict[str, Any]:
    """The JSON of an answer, once it has been checked. Raises Deviation."""
    content, tail = reply.ok().body, memoryview(b"")
    if (length := reply.headers.get(HEADER)) is not None:
        content, tail = content[: int(length)], memoryview(content)[int(length) :]
    answer = read(content, reply.asked)
    if type(answer) is not dict or answer.get("model_name") != server.model:
        raise Deviation(f'{reply}, want "model_name": "{server.model}"')
    if type(answer.get("outputs")) is not list or not answer["outputs"]:
        raise Deviation(f'{reply}, want "outputs"')
    expected = _outputs(server)
    for output in answer["outputs"]:
        asked_for = _classified(output)
        tail = check_output(output, {} if asked_for else expected, rows, tail)
    if len(tail):
        raise Deviation(f"{reply.asked}: {len(tail)} bytes stand behind the last binary output")
    return answer


def _classified(output: Any) -> bool:
    return type(output) is dict and output.get("datatype") == "BYTES"


def _server_metadata(server: Server) -> str:
    said = server.get("/v2").ok().json()
    if type(said) is not dict or not {"name", "version", "extensions"} <= said.keys():
        raise Deviation(f'GET /v2 says {said}, want "name", "version" and "extensions"')
    return f"{said['name']} {said['version']}, extensions: {', '.join(said['extensions']) or 'none'}"


def _slash(server: Server) -> str:
    server.get("/v2/").offered().ok()
    return "200"


def _status(path: str) -> Callable[[Server], str]:
    def check(server: Server) -> str:
        server.get(path.format(model=server.model)).ok()
        return "200"

    return check


def _model_metadata(server: Server) -> str:
    described = [f"{tensor.name} {tensor.datatype} {tensor.shape}" for tensor in inputs(server)]
    made = [f"{tensor.name} {tensor.datatype} {tensor.shape}" for tensor in _outputs(server).values()]
    return f"{', '.join(described)} -> {', '.join(made) or 'it does not say'}"


def _versions(server: Server) -> str:
    versions = _metadata(server).get("versions") or []
    if not versions:
        raise NotOffered("the model's metadata list no versions")
    if any(type(version) is not str for version in versions):
        raise Deviation(f"versions are {versions}, want strings")
    of = f"/versions/{versions[-1]}"
    server.get(_path(server, of)).ok()
    server.get(_path(server, f"{of}/ready")).ok()
    answer = _answer(server, _infer(server, _request(server), of=of))
    if answer.get("model_version") not in (None, versions[-1]):
        raise Deviation(f"{of} was asked, and model_version {answer['model_version']!r} answered")
    return f"{', '.join(versions)}; asked {versions[-1]}"


def _unknown_version(server: Server) -> str:
    if not _metadata(server).get("versions"):
        raise NotOffered("the model's metadata list no versions")
    return server.get(_path(server, "/versions/987654321")).refused()


def _unknown_model(server: Server) -> str:
    server.post(f"/v2/models/{NOBODY}/infer", _request(server)).refused()
    return server.get(f"/v2/models/{NOBODY}").refused()


def _flat(server: Server) -> str:
    answer = _answer(server, _infer(server, _request(server)))
    return ", ".join(f"{output['name']} {output['shape']}" for output in answer["outputs"])


def _nested(server: Server) -> str:
    _answer(server, _infer(server, _request(server, nested=True)))
    return "200"


def _batch(server: Server) -> str:
    if not all(tensor.batched for tensor in inputs(server)):
        raise NotOffered("the first axis of an input has a fixed size")
    _answer(server, _infer(server, _request(server, rows=3)), rows=3)
    return "3 rows in, 3 rows out"


def _id(server: Server) -> str:
    found = _answer(server, _infer(server, _request(server, id="echo-7"))).get("id")
    if found != "echo-7":
        raise Deviation(f'id "echo-7" was sent, and {found!r} came back')
    return "echoed"


def _selection(server: Server) -> str:
    names = [output["name"] for output in _answer(server, _infer(server, _request(server)))["outputs"]]
    answer = _answer(server, _infer(server, _request(server, outputs=[{"name": names[-1]}])))
    found = [output["name"] for output in answer["outputs"]]
    if found != names[-1:]:
        raise Deviation(f"{names[-1]} was asked for, and {', '.join(found)} came back")
    return f"{names[-1]} of {', '.join(names)}"


def _unknown_output(server: Server) -> str:
    reply = _infer(server, _request(server, outputs=[{"name": "an-output-that-nobody-has"}]))
    if reply.status == 200:
        raise NotOffered("an unknown output is answered with 200")
    return reply.refused()


def _refusal(change: Callable[[dict[str, Any]], Any]) -> Callable[[Server], str]:
    """A check that a request which is wrong in one way gets an error's status."""

    def check(server: Server) -> str:
        return _infer(server, change(_request(server))).refused()

    return check


def _with_first(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda request: {"inputs": [{**request["inputs"][0], **changed}, *request["inputs"][1:]]}


def _short(request: dict[str, Any]) -> Any:
    first = request["inputs"][0]
    return _with_first(data=first["data"][:-1])(request)


def _texts(server: Server) -> str:
    """What the specification says of all errors: the body must be an object with the text."""
    replies = [_infer(server, change(_request(server))) for change in WRONG.values()]
    texts = [reply.error() for reply in (server.get(f"/v2/models/{NOBODY}"), *replies)]
    return f"{len(texts)} errors, as: {texts[-1]}"


def _advertised(server: Server, extension: str) -> None:
    said = server.get("/v2").ok().json()
    if extension not in (said.get("extensions") or []):
        raise NotOffered(f"{extension} is not advertised")


def _binary(server: Server, request: dict[str, Any], cut: int = 0) -> Reply:
    """The answer to inputs in binary; the last tensor is `cut` bytes short."""
    tensors = [tensor.zeros() for tensor in inputs(server)]
    json = {**request, "inputs": [tensor.tensor(binary=True) for tensor in inputs(server)]}
    head = dumps(json).encode()
    body = b"".join([head, *tensors])
    headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
    return _infer(server, body[: len(body) - cut], headers)


def _binary_in(server: Server) -> str:
    _advertised(server, "binary_tensor_data")
    _answer(server, _binary(server, {}))
    return "200"


def _binary_out(server: Server) -> str:
    _advertised(server, "binary_tensor_data")
    everything = _answer(server, _infer(server, _request(server, parameters={"binary_data_output": True})))
    _all_binary(everything)
    name = everything["outputs"][0]["name"]
    wanted = [{"name": name, "parameters": {"binary_data": True}}]
    reply = _infer(server, _request(server, outputs=wanted))
    _all_binary(_answer(server, reply))
    return f"{HEADER}: {reply.headers[HEADER]}"


def _all_binary(answer: dict[str, Any]) -> None:
    for output in answer["outputs"]:
        if (output.get("parameters") or {}).get("binary_data_size") is None:
            raise Deviation(f"output {output['name']} was wanted in binary, and has no binary_data_size")


def _binary_short(server: Server) -> str:
    _advertised(server, "binary_tensor_data")
    return _binary(server, {}, cut=1).refused()


def _raw(server: Server) -> str:
    _advertised(server, "binary_tensor_data")
    only = inputs(server)
    if len(only) != 1:
        raise NotOffered(f"the model has {len(only)} inputs")
    headers = {HEADER: "0", "Content-Type": "application/octet-stream"}
    reply = _infer(server, only[0].zeros(), headers)
    _all_binary(_answer(server, reply))
    return "a body of one tensor and nothing else"


def _classification(server: Server) -> str:
    _advertised(server, "classification")
    answer = _answer(server, _infer(server, _request(server)))
    widest = max(answer["outputs"], key=lambda output: output["shape"][-1])
    wanted = {"name": widest["name"], "parameters": {"classification": 2}}
    (output,) = _answer(server, _infer(server, _request(server, outputs=[wanted])))["outputs"]
    parts = [str(text).split(":") for text in output.get("data", [])]
    if output["datatype"] != "BYTES" or not parts or any(len(part) < 2 or not part[1].isdigit() for part in parts):
        raise Deviation(f'classification came back as {str(output)[:100]}, want BYTES of "value:index"')
    if float(parts[0][0]) < float(parts[-1][0]):
        raise Deviation(f"classes came back as {output['data']}, want the best one first")
    return str(output["data"])


def _index(server: Server) -> str:
    entries = server.post("/v2/repository/index", {}).offered().ok().json()
    if type(entries) is not list or any(type(entry) is not dict or "name" not in entry for entry in entries):
        raise Deviation(f'the index is {str(entries)[:100]}, want a list of objects with "name"')
    if server.model not in {entry["name"] for entry in entries}:
        raise Deviation(f"the index does not have {server.model}")
    return ", ".join(f"{entry['name']} {entry.get('state', '')}".strip() for entry in entries)


def _load_unknown(server: Server) -> str:
    reply = server.post(f"/v2/repository/models/{NOBODY}/load", {})
    if reply.status in (404, 405) and "Not Found" in str(reply):
        raise NotOffered(str(reply))
    return reply.refused()


def _feature(name: str, check: Callable[[Server], str], *, required: bool = True) -> Feature:
    return Feature(PROTOCOL, name, required, check)


WRONG: Final = {
    "a body that is not JSON": lambda _: b'{"inputs": [',
    "a body without inputs": lambda _: {"id": "1"},
    "data shorter than its shape": _short,
    "an unknown datatype": _with_first(datatype="FP7"),
    "a shape that is none": _with_first(shape="many"),
}
FEATURES: Final = (
    _feature("server metadata", _server_metadata),
    _feature("server metadata at /v2/", _slash, required=False),
    _feature("liveness", _status("/v2/health/live")),
    _feature("readiness", _status("/v2/health/ready")),
    _feature("model readiness", _status("/v2/models/{model}/ready")),
    _feature("model metadata", _model_metadata),
    _feature("versions", _versions, required=False),
    _feature("an unknown version is an error", _unknown_version, required=False),
    _feature("an unknown model is an error", _unknown_model),
    _feature("inference, flat data", _flat),
    _feature("inference, nested data", _nested),
    _feature("inference, several rows", _batch, required=False),
    _feature("id comes back", _id),
    _feature("outputs limits what comes back", _selection),
    _feature("an unknown output is an error", _unknown_output, required=False),
    *(_feature(f"{name} is an error", _refusal(change)) for name, change in WRONG.items()),
    _feature('errors are {"error": text}', _texts),
    _feature("binary tensors in", _binary_in, required=False),
    _feature("binary tensors out", _binary_out, required=False),
    _feature("binary data that is too short is an error", _binary_short, required=False),
    _feature("a raw request", _raw, required=False),
    _feature("classification", _classification, required=False),
    _feature("repository index", _index, required=False),
    _feature("to load an unknown model is an error", _load_unknown, required=False),
)
