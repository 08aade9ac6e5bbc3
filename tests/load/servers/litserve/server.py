"""LitServe, as its documentation advises for a CPU and for more than a hundred requests a second.

A worker for each processor, with a thread each, and as many servers in front of them (its default); ZeroMQ between the
two (`fast_queue`). Batches of up to 64 requests that are waited for a millisecond: at 0 its workers poll without pause.
A body is either JSON or bytes: LitServe hands both to `decode_request` when the annotation says so. orjson writes the
answer, which otherwise FastAPI would walk number by number.
"""

import sys
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body, Response

from tests.load.servers.bodies import answer_of, pixels_of_bytes, pixels_of_json
from tests.load.servers.torch_network import TorchNetwork

NETWORK, PORT = sys.argv[1], int(sys.argv[2])
WORKERS, THREADS = 2, 1


class Digits(litserve.LitAPI):
    """Requests with any number of pictures, joined into one batch."""

    def setup(self, device: str) -> None:
        self.network = TorchNetwork(NETWORK, THREADS)

    def decode_request(self, request: Annotated[bytes | dict[str, Any], Body()]) -> np.ndarray:
        return pixels_of_bytes(request) if isinstance(request, bytes) else pixels_of_json(request)

    def batch(self, inputs: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
        ends = np.cumsum([len(pixels) for pixels in inputs])[:-1].tolist()
        return np.concatenate(inputs), ends

    def predict(self, x: tuple[np.ndarray, list[int]]) -> list[np.ndarray]:
        pixels, ends = x
        return np.split(self.network(pixels), ends)

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        return output

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(answer_of(output), media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(
        Digits(max_batch_size=64, batch_timeout=0.001), accelerator="cpu", workers_per_device=WORKERS, fast_queue=True
    )
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False, access_log=False)
