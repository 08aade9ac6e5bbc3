"""Ray Serve with `serve.batch`: one replica with both processors, behind Ray's proxy.

Its documented switch for throughput is on, there is no dashboard and no log of requests, and as many requests may be
under way as the load brings (5 is the default). Batches of up to 64 requests are waited for a millisecond. The replica
gets the proxy's request, so orjson can read the body.
"""

import os
import signal
import sys
import tempfile

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_SERVE_THROUGHPUT_OPTIMIZED="1",
    RAY_AUTH_MODE="disabled",
)

import numpy as np
import orjson
import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

from tests.load.servers.bodies import BYTES, answer_of, pixels_of_bytes, pixels_of_json
from tests.load.servers.torch_network import TorchNetwork

THREADS = 2
MOST_UNDER_WAY = 256


@serve.deployment(max_ongoing_requests=MOST_UNDER_WAY)
class Digits:
    """The ten probabilities of each picture."""

    def __init__(self, network: str) -> None:
        self.network = TorchNetwork(network, THREADS)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def predict(self, several: list[np.ndarray]) -> list[np.ndarray]:
        """Requests with any number of pictures, joined into one batch."""
        ends = np.cumsum([len(pixels) for pixels in several])[:-1].tolist()
        return np.split(self.network(np.concatenate(several)), ends)

    async def __call__(self, request: Request) -> Response:
        """For JSON or n * 784 bytes."""
        body = await request.body()
        raw = request.headers["content-type"] == BYTES
        probabilities = await self.predict(pixels_of_bytes(body) if raw else pixels_of_json(orjson.loads(body)))
        return Response(answer_of(probabilities), media_type="application/json")


def main() -> None:
    """Serves until SIGTERM."""
    network, port = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        serve.start(
            http_options={"host": "127.0.0.1", "port": port}, logging_config=LoggingConfig(enable_access_log=False)
        )
        serve.run(Digits.bind(network), route_prefix="/predict")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
