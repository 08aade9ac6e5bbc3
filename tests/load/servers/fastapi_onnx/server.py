"""FastAPI and ONNX Runtime: what a good engineer writes without a framework for models, and without batching.

orjson reads and writes, the session has both processors, and the collector leaves alone what has been loaded. One
picture is answered on the event loop: the pool of threads would take longer than the network. Many pictures go to the
pool, which leaves the loop to the other clients. Threads of the session do not spin while they wait: on two processors
they would take them from the server, and each figure is worse with it.
"""

import gc
import sys
from pathlib import Path

import onnx
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from tests.load.servers.bodies import BYTES, PIXELS, answer_of, pixels_of_bytes, pixels_of_json

NETWORK, PORT = sys.argv[1], int(sys.argv[2])
THREADS = 2
MANY_BYTES = 16 * PIXELS

app = FastAPI()


def session() -> onnxruntime.InferenceSession:
    """The network as `python -m training export` writes it, without what the answer does not need."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    exported = onnx.load(Path(NETWORK).with_suffix(".onnx"))
    asked = onnx.utils.Extractor(exported).extract_model(["images"], ["probabilities"])
    return onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])


network = session()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """The ten probabilities of each picture."""
    body, kind = await request.body(), request.headers["content-type"]
    if len(body) > MANY_BYTES:
        return await run_in_threadpool(_answer, body, kind)
    return _answer(body, kind)


def _answer(body: bytes, kind: str) -> Response:
    pixels = pixels_of_bytes(body) if kind == BYTES else pixels_of_json(orjson.loads(body))
    (probabilities,) = network.run(None, {"images": pixels.reshape(-1, 28, 28)})
    return Response(answer_of(probabilities), media_type="application/json")


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvicorn.run(app, port=PORT, loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning")
