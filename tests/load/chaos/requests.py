"""Requests whose answers are known: good ones with the answer of every version, and refused ones of every kind."""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from service.protocols.native.image_file import decode_image, open_image
from training import mnist
from training.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.store import Store

JSON, OCTETS, NPY, PNG, JPEG = (
    "application/json",
    "application/octet-stream",
    "application/x-npy",
    "image/png",
    "image/jpeg",
)
OTHERS = {"WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp", "TIFF": "image/tiff"}
TOLERANCE = 1e-4
POOL = 400
SIZES = (1, 1, 1, 2, 7, 40, 256)


class Answer(NamedTuple):
    """Status, headers in lower case, and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Known(NamedTuple):
    """A request as bytes of the wire, and whether an answer with status 200 or another expected status is right."""

    name: str
    wire: bytes
    statuses: frozenset[int]
    right: Callable[[Answer], bool] = lambda _: True

    @property
    def encoding(self) -> str:
        """The Content-Encoding."""
        return "gzip" if b"Content-Encoding: gzip" in self.wire[:500] else ""


def wire(path: str, body: bytes, media_type: str, **headers: str) -> bytes:
    """A POST request."""
    given = {"Host": "x", "Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def npy(array: np.ndarray) -> bytes:
    """An array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def encoded(picture: Image.Image, form: str) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


class Answers:
    """The right probabilities of some pictures, by version."""

    def __init__(self, store: Store, model: str, versions: list[int]) -> None:
        self.model = model
        self.images = mnist.train().images[:POOL]
        self._predictors = {str(version): Predictor.load(store, model, version) for version in versions}
        self._of_pool = {name: predictor(self.images) for name, predictor in self._predictors.items()}

    def close(self, probabilities: object, version: str, images: np.ndarray | None, rows: slice) -> bool:
        """Whether probabilities are those of a version, for pictures of their own or for rows of the pool."""
        if version not in self._predictors:
            return False
        right = self._of_pool[version][rows] if images is None else self._predictors[version](images)
        found = np.asarray(probabilities, np.float64).reshape(-1, 10)
        return found.shape == right.shape and bool(np.abs(found - right).max() < TOLERANCE)


def good_requests(answers: Answers, seed: int, count: int) -> list[Known]:
    """Good requests in every protocol and media type."""
    numbers = np.random.default_rng(seed)
    makers = (
        _json,
        _json,
        _json,
        _gzip,
        _octets,
        _npy,
        _picture,
        _photo,
        _other,
        _rows,
        _base64,
        _tensor,
        _binary_tensor,
    )
    made = []
    for _ in range(count):
        size = int(numbers.choice(SIZES))
        first = int(numbers.integers(0, POOL - size))
        made.append(makers[numbers.integers(len(makers))](answers, slice(first, first + size)))
    return made


def _of_json(answers: Answers, rows: slice, images: np.ndarray | None = None) -> Callable[[Answer], bool]:
    def right(answer: Answer) -> bool:
        content = json.loads(answer.body)
        predictions = content.get("predictions", [content])
        found = [prediction["probabilities"] for prediction in predictions]
        return answers.close(found, str(content["model"]["version"]), images, rows)

    return right


def _known(name: str, request: bytes, right: Callable[[Answer], bool]) -> Known:
    return Known(name, request, frozenset((200, 503)), right)


def _json(answers: Answers, rows: slice, **headers: str) -> Known:
    pictures = answers.images[rows].reshape(-1, 784).tolist()
    body = json.dumps({"pixels": pictures[0]} if len(pictures) == 1 else {"instances": pictures}).encode()
    if headers:
        body = gzip.compress(body, 1)
    return _known("json", wire("/predict", body, JSON, **headers), _of_json(answers, rows))


def _gzip(answers: Answers, rows: slice) -> Known:
    return _json(answers, rows, Content_Encoding="gzip")._replace(name="gzip")


def _octets(answers: Answers, rows: slice) -> Known:
    request = wire("/predict", answers.images[rows].tobytes(), OCTETS, Accept=JSON)
    return _known("octets", request, _of_json(answers, rows))


def _npy(answers: Answers, rows: slice) -> Known:
    def right(answer: Answer) -> bool:
        return answers.close(np.load(io.BytesIO(answer.body)), answer.headers["x-model-version"], None, rows)

    return _known("npy", wire("/predict", npy(answers.images[rows]), NPY, Accept=NPY), right)


def _picture(answers: Answers, rows: slice, form: str = "PNG", media_type: str = PNG, side: int = 140) -> Known:
    sheet = Image.new("L", (2 * side, 2 * side), 255)
    digit = Image.fromarray(255 - answers.images[rows.start]).resize((side, side), Image.Resampling.BILINEAR)
    sheet.paste(digit, (side // 2, side // 2))
    body = encoded(sheet, form)
    line = decode_image(open_image(body, media_type, 10**8), None)
    images = line.image[None]
    return _known(form, wire("/predict", body, media_type, Accept=JSON), _of_json(answers, rows, images))


def _photo(answers: Answers, rows: slice) -> Known:
    return _picture(answers, rows, "JPEG", JPEG, 700)


def _other(answers: Answers, rows: slice) -> Known:
    form = [*OTHERS][rows.start % len(OTHERS)]
    return _picture(answers, rows, form, OTHERS[form])


def _rows(answers: Answers, rows: slice) -> Known:
    body = json.dumps({"instances": answers.images[rows].tolist()}).encode()
    return _known("/v1", wire(f"/v1/models/{answers.model}:predict", body, JSON), _of_rows(answers, rows))


def _base64(answers: Answers, rows: slice) -> Known:
    pictures = [{"b64": base64.b64encode(image.tobytes()).decode()} for image in answers.images[rows]]
    body = json.dumps({"instances": pictures}).encode()
    return _known("/v1 base64", wire(f"/v1/models/{answers.model}:predict", body, JSON), _of_rows(answers, rows))


def _of_rows(answers: Answers, rows: slice) -> Callable[[Answer], bool]:
    def right(answer: Answer) -> bool:
        found = json.loads(answer.body)["predictions"]
        return answers.close(found, answer.headers["x-model-version"], None, rows)

    return right


def _tensor(answers: Answers, rows: slice) -> Known:
    data = answers.images[rows].ravel().tolist()
    tensor = {"name": "pixels", "shape": [rows.stop - rows.start, 784], "datatype": "UINT8", "data": data}
    body = json.dumps({"inputs": [tensor]}).encode()
    return _known("/v2", wire(f"/v2/models/{answers.model}/infer", body, JSON), _of_tensor(answers, rows))


def _binary_tensor(answers: Answers, rows: slice) -> Known:
    data = answers.images[rows].tobytes()
    tensor = {"name": "pixels", "shape": [rows.stop - rows.start, 784], "datatype": "UINT8"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    request = wire(
        f"/v2/models/{answers.model}/infer", head + data, OCTETS, Inference_Header_Content_Length=str(len(head))
    )
    return _known("/v2 binary", request, _of_tensor(answers, rows))


def _of_tensor(answers: Answers, rows: slice) -> Callable[[Answer], bool]:
    def right(answer: Answer) -> bool:
        content = json.loads(answer.body)
        (found,) = [output["data"] for output in content["outputs"] if output["name"] == "probabilities"]
        return answers.close(found, content["model_version"], None, rows)

    return right


def corrections(answers: Answers) -> list[Known]:
    """Corrections of pictures."""
    made = []
    for image in answers.images[:20]:
        body = json.dumps({"pixels": image.ravel().tolist(), "digit": 7}).encode()
        made.append(Known("correction", wire("/feedback", body, JSON), frozenset((201, 429, 503))))
    return made


def refused_requests(model: str) -> list[Known]:
    """Requests that get an error, with its status."""
    picture = np.zeros((28, 28), np.uint8)
    flat = picture.ravel().tolist()
    blank = encoded(Image.new("L", (1024, 1024), 255), "PNG")
    nested = b'{"instances":[' + b",".join([b'{"a":1}'] * 400_000) + b"]}"
    tensor = {"name": "pixels", "shape": [1, 783], "datatype": "UINT8", "data": flat}

    wrong_correction = wire("/feedback", json.dumps({"pixels": flat, "digit": 10}).encode(), JSON)

    def of(name: str, status: int, path: str, body: bytes, media_type: str = JSON, **headers: str) -> Known:
        return Known(name, wire(path, body, media_type, **headers), frozenset((status, 503)))

    return [
        of("a blank picture", 422, "/predict", blank, PNG),
        of("a picture cut short", 400, "/predict", blank[:-30], PNG),
        of("no picture", 400, "/predict", b"\xff\xd8" + b"\xff" * 10**6, JPEG),
        of("a wrong pixel", 422, "/predict", json.dumps({"pixels": [256, *flat[1:]]}).encode()),
        of("JSON cut short", 400, "/predict", json.dumps({"pixels": flat}).encode()[:-1]),
        of("too many objects", 413, "/predict", nested),
        of("too many objects, compressed", 413, "/predict", gzip.compress(nested), Content_Encoding="gzip"),
        of(
            "a wrong pixel of many",
            422,
            "/predict",
            json.dumps({"instances": [flat] * 200 + [[*flat[1:], -1]]}).encode(),
        ),
        of("a bomb", 413, "/predict", gzip.compress(bytes(2**24)), OCTETS, Content_Encoding="gzip"),
        of("an array out of range", 422, "/predict", npy(np.full((300, 784), 256.0)), NPY),
        of("an array of another shape", 422, "/predict", npy(np.zeros((3, 783))), NPY),
        of("octets of another length", 422, "/predict", bytes(783), OCTETS),
        of("an unknown media type", 415, "/predict", b"7", "text/plain"),
        of("an unknown model", 404, "/predict?model=nobody", b"{}"),
        of("a deadline", 504, "/predict", json.dumps({"pixels": flat}).encode(), X_Timeout_Ms="0.0001"),
        of("a wrong row", 400, f"/v1/models/{model}:predict", b'{"instances": [[1, 2]]}'),
        of("a wrong tensor", 400, f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode()),
        Known("a wrong correction", wrong_correction, frozenset((422, 429, 503))),
        of("an unknown path", 404, "/nothing", b"{}"),
    ]
