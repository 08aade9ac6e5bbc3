"""MLServer with one model, as its own command starts it but for ports and processes: `server.py PORT`."""

import asyncio
import sys

from mlserver import MLServer, ModelSettings, Settings
from mlserver.types import MetadataTensor

from tests.conformance.mlserver.model import Sums

ANY_PORT = 0


async def main() -> None:
    """Serves until SIGTERM."""
    settings = Settings(
        host="127.0.0.1",
        http_port=int(sys.argv[1]),
        grpc_port=ANY_PORT,
        metrics_endpoint=None,
        debug=False,
        parallel_workers=0,
    )
    model = ModelSettings(
        name="sums",
        implementation=Sums,
        platform="numpy",
        versions=["1"],
        inputs=[MetadataTensor(name="pixels", datatype="UINT8", shape=[-1, 784])],
        outputs=[MetadataTensor(name="probabilities", datatype="FP32", shape=[-1, 10])],
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
