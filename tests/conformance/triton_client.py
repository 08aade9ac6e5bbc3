"""Triton's own client, unchanged, against a server: `triton_client.py HOST:PORT`. Its environment has nothing of ours.

Prints what it found as JSON, on the last line.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


def pictures() -> np.ndarray:
    """uint8 [3, 784]; the first pixel is the digit."""
    made = np.zeros((3, 784), np.uint8)
    made[:, 0] = 7, 2, 1
    return made


def tensor(values: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    """The input of a request."""
    made = triton.InferInput("pixels", list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary)


def message(call) -> str:
    """What the client says of an error."""
    try:
        call()
    except InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return "no error"


def main(url: str) -> dict[str, object]:
    """Everything that the client can ask of this protocol."""
    client = triton.InferenceServerClient(url, concurrency=4)
    values = pictures()
    found: dict[str, object] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [client.is_model_ready("lenet"), client.is_model_ready("lenet", "9")],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("lenet"),
        "version": client.get_model_metadata("lenet", "3")["versions"],
        "index": client.get_model_repository_index(),
    }
    for name, datatype, shape, binary in (
        ("json", "UINT8", (3, 784), False),
        ("binary", "UINT8", (3, 784), True),
        ("json_fp32", "FP32", (3, 28, 28), False),
        ("binary_fp32", "FP32", (3, 28, 28, 1), True),
        ("binary_fp16", "FP16", (3, 28, 28), True),
    ):
        dtype = {"UINT8": np.uint8, "FP32": np.float32, "FP16": np.float16}[datatype]
        sent = tensor(values.reshape(shape).astype(dtype), datatype, binary=binary)
        result = client.infer("lenet", [sent], request_id=name)
        probabilities = result.as_numpy("probabilities")
        found[name] = [
            result.get_response()["id"],
            result.as_numpy("digit").tolist(),
            str(probabilities.dtype),
            list(probabilities.shape),
        ]
    wanted = triton.InferRequestedOutput("digit", binary_data=False)
    only = client.infer("lenet", [tensor(values, "UINT8", binary=True)], outputs=[wanted])
    found["only"] = [only.as_numpy("digit").tolist(), only.as_numpy("probabilities") is None]
    unit = tensor((values / np.float32(255)).astype(np.float32), "FP32", binary=True)
    found["scale"] = client.infer("lenet", [unit], parameters={"scale": 1}).as_numpy("digit").tolist()
    for binary in (False, True):
        classes = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
        answer = client.infer("lenet", [tensor(values, "UINT8", binary=True)], outputs=[classes])
        texts = answer.as_numpy("probabilities")
        decode = np.vectorize(lambda text: text.decode() if isinstance(text, bytes) else str(text))
        found[f"classes_{binary}"] = decode(texts)[:, 0].tolist()
    for algorithm in ("gzip", "deflate"):
        sent = [tensor(values, "UINT8", binary=True)]
        answer = client.infer("lenet", sent, request_compression_algorithm=algorithm)
        found[algorithm] = answer.as_numpy("digit").tolist()
    pending = [client.async_infer("lenet", [tensor(values[[i % 3]], "UINT8", binary=bool(i % 2))]) for i in range(30)]
    found["asynchronous"] = [request.get_result().as_numpy("digit").tolist() for request in pending]
    body, length = triton.InferenceServerClient.generate_request_body([tensor(values, "UINT8", binary=True)])
    found["generated"] = [type(body).__name__, type(length).__name__]
    found["errors"] = [
        message(lambda: client.get_model_metadata("resnet")),
        message(lambda: client.infer("lenet", [tensor(values[:, :783], "UINT8", binary=True)])),
        message(lambda: client.infer("lenet", [tensor(values, "UINT8", binary=True)], model_version="9")),
        message(lambda: client.load_model("lenet")),
        message(lambda: client.get_model_config("lenet")),
    ]
    client.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201
