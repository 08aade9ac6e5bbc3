"""MLServer with adaptive batching, in one process that computes with both processors.

Its worker processes do not start with this uvloop, and would get every pixel as a pickled Python number. JSON is that
of the Open Inference Protocol, which orjson reads. Bytes, for which MLServer's REST has no form, come by a custom
handler, its documented way for bodies of other kinds; that is not batched, and 256 pictures are a full batch. Batches
of up to 64 requests are waited for a millisecond. Metrics and the log of requests are off.
"""

import asyncio
import sys

import uvloop
from mlserver import MLServer, ModelSettings, Settings
from mlserver.settings import ModelParameters

from tests.load.servers.mlserver.model import Digits

NETWORK, PORT = sys.argv[1], int(sys.argv[2])
ANY_PORT = 0


async def main() -> None:
    """Serves until SIGTERM."""
    settings = Settings(
        host="127.0.0.1",
        http_port=PORT,
        grpc_port=ANY_PORT,
        metrics_endpoint=None,
        debug=False,
        parallel_workers=0,
    )
    model = ModelSettings(
        name="digits",
        implementation=Digits,
        max_batch_size=64,
        max_batch_time=0.001,
        parameters=ModelParameters(uri=NETWORK),
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
