"""BentoML with adaptive batching: a worker for each processor, with a thread each.

A batch holds 256 pictures at most. The bound on latency is left at its default, a minute: with a tight one BentoML
answers 503 under load, whereas how long it waits for a batch it finds out by itself. Its form of JSON for arrays is
read and written by it. Bytes are a method of their own, not batched: BentoML batches arrays, and 256 pictures are a
full batch.
"""

import os
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from starlette.responses import Response

from tests.load.servers.bodies import answer_of, pixels_of_bytes
from tests.load.servers.torch_network import TorchNetwork

WORKERS, THREADS = 2, 1
MOST_ROWS = 256


@bentoml.service(
    workers=WORKERS,
    http={"host": "127.0.0.1", "port": int(os.environ["DIGITS_BENCH_PORT"])},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Digits:
    """The ten probabilities of each picture."""

    def __init__(self) -> None:
        self.network = TorchNetwork(os.environ["DIGITS_BENCH_NETWORK"], THREADS)

    @bentoml.api(batchable=True, max_batch_size=MOST_ROWS)
    def predict(self, instances: Annotated[np.ndarray, DType("uint8")]) -> np.ndarray:
        """For {"instances": [[784 numbers], …]}, joined with those of others."""
        return self.network(instances)

    @bentoml.api
    def predict_bytes(self, pixels: bytes, /):  # a Response in the annotation is refused
        """For n * 784 bytes."""
        return Response(answer_of(self.network(pixels_of_bytes(pixels))), media_type="application/json")
