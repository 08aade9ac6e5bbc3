"""A small server of both protocols that keeps to them but for one defect, to see whether the suite finds it."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 4
INPUT: Final = {"name": "x", "datatype": "FP32", "shape": [-1, WIDTH]}
OUTPUT: Final = {"name": "y", "datatype": "FP32", "shape": [-1, 2]}
SECOND: Final = {"name": "z", "datatype": "INT64", "shape": [-1]}
DEFECTS: Final = {
    "an error is answered with 200": "a body that is not JSON is an error",
    "an error has no text": 'errors are {"error": text}',
    "the datatype is another one": "inference, flat data",
    "the shape is another one": "inference, flat data",
    "values are missing": "inference, flat data",
    "the id does not come back": "id comes back",
    "there is NaN in the answer": "inference, flat data",
    "outputs is not looked at": "outputs limits what comes back",
    "nested data is not understood": "inference, nested data",
    "all rows but one are lost": "inference, several rows",
    "the name of the model is missing": "inference, flat data",
    "it is not ready": "readiness",
    "an unknown model is answered": "an unknown model is an error",
    "short data is answered": "data shorter than its shape is an error",
    "metadata have no datatypes": "model metadata",
    "versions are numbers": "versions",
    "binary tensors are advertised and not spoken": "binary tensors in",
    "the index is no list": "repository index",
    "predictions have another name": "row form",
    "predictions are lost": "row form, several rows",
    "both forms at once are answered": "both forms at once are an error",
}
"""What can be wrong, and the feature that fails then."""


class Refused(Exception):
    """A request that is answered with an error."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Broken

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        self._reply(self.rfile.read(int(self.headers["Content-Length"])))

    def _reply(self, body: bytes) -> None:
        try:
            status, said = 200, self._answer(body)
        except (Refused, KeyError, TypeError, ValueError) as error:
            status = 200 if self._has("an error is answered with 200") else 404 if "nothing" in str(error) else 400
            said = {"detail": "no"} if self._has("an error has no text") else {"error": f"it is wrong: {error}"}
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes) -> Any:
        match self.path.strip("/").split("/"):
            case ["v1", "models", "m"]:
                return {"name": "m", "ready": True}
            case ["v1", "models", "m:predict"]:
                return self._predict(json.loads(body))
            case ["v2", "models", name, *_, "infer"]:
                if name != "m" and not self._has("an unknown model is answered"):
                    raise Refused("nothing has that name")
                return self._infer(json.loads(body))
            case ["v2", "repository", "index"]:
                return {} if self._has("the index is no list") else [{"name": "m", "state": "READY"}]
            case ["v2", *path]:
                return self._metadata(path)
        raise Refused("nothing is there")

    def _metadata(self, path: list[str]) -> Any:
        match path:
            case []:
                binary = ["binary_tensor_data"] if self._has("binary tensors are advertised and not spoken") else []
                return {"name": "small", "version": "1", "extensions": binary}
            case ["health", "ready"] if self._has("it is not ready"):
                raise Refused("nothing is ready")
            case ["health", _] | ["models", "m", *_, "ready"]:
                return {}
            case ["models", "m"] | ["models", "m", "versions", "1"]:
                given = {"name": "x"} if self._has("metadata have no datatypes") else INPUT
                versions = [1] if self._has("versions are numbers") else ["1"]
                return {
                    "name": "m",
                    "versions": versions,
                    "platform": "p",
                    "inputs": [given],
                    "outputs": [OUTPUT, SECOND],
                }
        raise Refused("nothing is there")

    def _has(self, defect: str) -> bool:
        return self.server.defect == defect

    def _infer(self, request: dict[str, Any]) -> Any:
        rows = 1 if self._has("all rows but one are lost") else self._rows(request)
        wanted = [output["name"] for output in request.get("outputs") or []]
        outputs = [self._output(rows), {**SECOND, "shape": [rows], "data": [1] * rows}]
        if wanted and not self._has("outputs is not looked at"):
            outputs = [output for output in outputs if output["name"] in wanted]
        answer: dict[str, Any] = {"model_version": "1", "outputs": outputs}
        if not self._has("the name of the model is missing"):
            answer["model_name"] = "m"
        if "id" in request and not self._has("the id does not come back"):
            answer["id"] = request["id"]
        return answer

    def _rows(self, request: dict[str, Any]) -> int:
        """How many rows the input has. Raises Refused for what is no such tensor."""
        (tensor,) = request["inputs"]
        rows, width = tensor["shape"]
        data = tensor["data"]
        if type(data[0]) is list:
            if self._has("nested data is not understood"):
                raise Refused("nested")
            data = [value for row in data for value in row]
        if tensor["datatype"] != "FP32" or width != WIDTH:
            raise Refused("no such tensor")
        if len(data) != rows * width and not self._has("short data is answered"):
            raise Refused("it is short")
        return int(rows)

    def _output(self, rows: int) -> dict[str, Any]:
        output: dict[str, Any] = {**OUTPUT, "shape": [rows, 2], "data": [0.25, 0.75] * rows}
        if self._has("the datatype is another one"):
            output["datatype"] = "FP64"
        if self._has("the shape is another one"):
            output["shape"] = [2, rows]
        if self._has("values are missing"):
            output["data"] = [0.25]
        if self._has("there is NaN in the answer"):
            output["data"] = [math.nan, 1.0] * rows
        return output

    def _predict(self, request: dict[str, Any]) -> Any:
        if "inputs" in request and not self._has("both forms at once are answered"):
            raise Refused("column form")
        rows = request["instances"]
        if any(len(row) != WIDTH for row in rows):
            raise Refused("a short row")
        key = "results" if self._has("predictions have another name") else "predictions"
        return {key: [[0.25, 0.75]] * (1 if self._has("predictions are lost") else len(rows))}

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Broken(ThreadingHTTPServer):
    """The server; no defect is a server that is right."""

    def __init__(self, defect: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.defect = defect


@contextlib.contextmanager
def broken(defect: str = "") -> Iterator[str]:
    """The URL of a server with a defect, which listens on 127.0.0.1 on a free port during the block."""
    with Broken(defect) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
