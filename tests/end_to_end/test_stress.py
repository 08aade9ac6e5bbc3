"""Thousands of requests of every kind over real connections: each one gets its own answer, and gets it once."""

import asyncio
import gzip
import io
import json
import random
from collections import Counter

import numpy as np
import pytest

from service.app import create_app
from service.models.loaded_version import LoadedVersion
from service.models.registry import LoadedModel, ModelRegistry
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from service.state import make_state
from tests.support.application import served
from training.predictor import Predictor

pytestmark = pytest.mark.slow
REQUESTS, CONNECTIONS = 3000, 100
SIZES = (1, 1, 1, 1, 2, 3, 7, 30, 100, 300)
POISON = 255
"""A picture whose first pixel is this one makes the predictor raise; nothing else has so much ink there."""
HEAD = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n"


class Poisonable:
    """A real predictor that raises for a poisonous picture."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.name, self.version, self.card, self.row_sizes = "tiny", 1, predictor.card, predictor.row_sizes
        self.padded, self.read, self.reference = predictor.padded, predictor.read, predictor.reference

    def columns(self, images):
        if (images[:, 0, 0] == POISON).any():
            raise ValueError("poison")
        return self.predictor.columns(images)


def question(images, kind, **headers):
    """The bytes of a request."""
    if kind == "octets":
        body, headers["Content-Type"] = images.tobytes(), "application/octet-stream"
    elif kind == "npy":
        file = io.BytesIO()
        np.save(file, images)
        body, headers["Content-Type"] = file.getvalue(), "application/x-npy"
    else:
        body = json.dumps({"instances": images.reshape(len(images), -1).tolist()}).encode()
        headers["Content-Type"] = "application/json"
    if kind == "gzip":
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    return HEAD.format(len(body), "".join(f"{k}: {v}\r\n" for k, v in headers.items())).encode() + body


async def answer(reader):
    """Status and body of the next answer of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


def test_every_question_gets_its_own_answer_once(trained_store, caplog):
    predictor = Predictor.load(trained_store, "tiny")
    settings, metrics = ServiceSettings(queue_limit_rows=6000), Metrics()
    version = LoadedVersion.start(Poisonable(predictor), metrics, queue_limit_rows=settings.queue_limit_rows)
    registry = ModelRegistry({"tiny": LoadedModel({1: version}, {"champion": 1}, version)})
    app = create_app(make_state(settings, registry=registry, metrics=metrics))
    chosen, numbers = random.Random(0), np.random.default_rng(0)
    pictures = numbers.integers(0, POISON, (3000, 28, 28), np.uint8)
    alone = predictor(pictures)
    outcomes = Counter()

    async def ask(connection, address):
        reader, writer = connection
        size = chosen.choice(SIZES)
        first = chosen.randrange(len(pictures) - size)
        images = pictures[first : first + size].copy()
        fate = chosen.choices(("well", "poison", "hurry", "hang up"), (20, 1, 1, 1))[0]
        headers = {"X-Timeout-Ms": "0.5"} if fate == "hurry" else {}
        if fate == "poison":
            images[chosen.randrange(size), 0, 0] = POISON
        writer.write(question(images, chosen.choice(("json", "octets", "npy", "gzip")), **headers))
        await writer.drain()
        if fate == "hang up":
            await asyncio.sleep(chosen.random() * 0.01)
            writer.transport.abort()
            outcomes[fate, None] += 1
            return await asyncio.open_connection(*address)
        status, body = await answer(reader)
        outcomes[fate, status] += 1
        if status == 200:
            got = [prediction["probabilities"] for prediction in body["predictions"]]
            np.testing.assert_allclose(got, alone[first : first + size], rtol=0, atol=1e-5)
        return connection

    async def client(address, requests):
        connection = await asyncio.open_connection(*address)
        while requests:
            requests.pop()
            connection = await ask(connection, address)
        reader, writer = connection
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (200, {"status": "alive"})  # and not an answer that came twice
        writer.close()

    async def clients(address):
        requests = [None] * REQUESTS
        await asyncio.gather(*(client(address, requests) for _ in range(CONNECTIONS)))

    with served(app) as address:
        asyncio.run(clients(address))
        assert version.batcher.waiting_rows == 0
    assert outcomes.total() == REQUESTS
    assert {key for key in outcomes if key[0] == "well"} <= {("well", 200), ("well", 503)}
    assert {status for fate, status in outcomes if fate == "poison"} <= {500, 503}
    assert {status for fate, status in outcomes if fate == "hurry"} <= {200, 503, 504}
    assert outcomes["well", 200] > REQUESTS / 2
    assert outcomes["poison", 500] > 20
    assert outcomes["hurry", 504] > 20
    assert outcomes["hang up", None] > 20
    assert "has died" not in caplog.text
