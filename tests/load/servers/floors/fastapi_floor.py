"""The second floor: a FastAPI route that does nothing. What it takes, every FastAPI service takes."""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Reads a body, throws it away and answers with a constant."""
    await request.body()
    return Response(b'{"digit":7}', media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[2]), loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning"
    )
