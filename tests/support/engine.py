"""An engine over a function that tests can hold, count and poison."""

import asyncio
import threading

import numpy as np

from service.engine.batcher import Batcher


class Squares:
    """Answers [n, 2] for rows int64 [n, 1]: the row and its square. `gate` holds it; rows in `poison` make it raise."""

    def __init__(self, *, poison=()):
        self.gate = threading.Event()
        self.gate.set()
        self.poison = set(poison)
        self.batches = []
        self.threads = set()

    def __call__(self, rows):
        self.batches.append(rows[:, 0].tolist())
        self.threads.add(threading.get_ident())
        assert self.gate.wait(10)
        if bad := self.poison & set(rows[:, 0].tolist()):
            raise ValueError(f"poison {bad}")
        return np.concatenate([rows, rows**2], axis=1)


def rows(*numbers):
    return np.array(numbers, np.int64)[:, None]


def answer(*numbers):
    return [[n, n * n] for n in numbers]


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not become true in time")


class Engine:
    """A batcher over Squares for one test, closed at its end; `hold` stops it in a batch of the row 1000."""

    def __init__(self, predict=None, **limits):
        self.predict = predict or Squares()
        self.batcher = Batcher(self.predict, **{"max_batch_rows": 8, "queue_limit_rows": 1000, **limits})

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.predict.gate.set()
        await self.batcher.close()

    def submit(self, *numbers):
        return asyncio.create_task(self.batcher.submit(rows(*numbers)))

    async def hold(self):
        self.predict.gate.clear()
        holder = self.submit(1000)
        await until(lambda: self.predict.batches == [[1000]])
        return holder
