"""A batcher with several engine threads, or with callers on several event loops."""

import asyncio
import logging
import random
import threading

import numpy as np
import pytest

from service.engine.batcher import Batcher
from service.engine.errors import EngineDead, PredictFailed
from tests.support.engine import Engine, Squares, answer, rows, until

pytestmark = pytest.mark.anyio


def test_the_engine_outlives_the_event_loop_of_a_caller():
    predict = Squares()
    batcher = Batcher(predict, max_batch_rows=8, queue_limit_rows=8)

    async def leave_at_once():
        predict.gate.clear()
        task = asyncio.create_task(batcher.submit(rows(1)))
        await until(lambda: predict.batches == [[1]])
        task.cancel()

    asyncio.run(leave_at_once())
    predict.gate.set()

    async def ask():
        result = await batcher.submit(rows(2))
        await batcher.close()
        return result.tolist()

    assert asyncio.run(ask()) == answer(2)


def test_two_event_loops_share_one_engine():
    batcher = Batcher(Squares(), max_batch_rows=8, queue_limit_rows=10_000)
    wrong = []

    def ask(numbers):
        async def run():
            for start in numbers:
                result = await batcher.submit(rows(start, start + 1))
                if result.tolist() != answer(start, start + 1):
                    wrong.append(start)

        asyncio.run(run())

    threads = [threading.Thread(target=ask, args=(range(first, first + 300),)) for first in (0, 5000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    asyncio.run(batcher.close())
    assert wrong == []


async def test_one_wake_up_serves_a_whole_batch(monkeypatch):
    async with Engine(max_batch_rows=64) as engine:
        await engine.hold()
        waiting = [engine.submit(n) for n in range(64)]
        await until(lambda: engine.batcher.waiting_rows == 64)
        loop, calls = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: calls.append(args) or wake(*args))
        engine.predict.gate.set()
        await asyncio.gather(*waiting)
        assert len(calls) == 2  # the batch that held, and the batch of 64


@pytest.mark.parametrize("threads", [1, 4])
async def test_every_answer_belongs_to_its_own_question_under_stress(threads):
    """600 callers of 1…40 rows; some leave while they wait, some carry poison; nobody gets another's rows."""
    chance = random.Random(7)
    poison = {n for n in range(20_000) if n % 997 == 0}
    limits = {"max_batch_rows": 16, "queue_limit_rows": 100_000, "threads": threads}
    async with Engine(Squares(poison=poison), **limits) as engine:
        questions, start = [], 0
        for _ in range(600):
            size = chance.choice([1, 1, 1, 2, 3, 5, 17, 40])
            questions.append(range(start, start + size))
            start += size
        tasks = []
        for numbers in questions:
            tasks.append(engine.submit(*numbers))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.choice([0, 0, 0.0005]))
            if chance.random() < 0.1:
                chance.choice(tasks[-3:]).cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        kinds = {"answered": 0, "failed": 0, "left": 0}
        for numbers, outcome in zip(questions, outcomes, strict=True):
            if isinstance(outcome, np.ndarray):
                kinds["answered"] += 1
                assert outcome.tolist() == answer(*numbers)
                assert not poison & set(numbers)
            elif isinstance(outcome, asyncio.CancelledError):
                kinds["left"] += 1
            else:
                kinds["failed"] += 1
                assert isinstance(outcome, PredictFailed)
                assert poison & set(numbers)
        assert kinds["answered"] > 400
        assert kinds["failed"] >= 4
        assert kinds["left"] > 5
        assert engine.batcher.waiting_rows == 0
        assert max(map(len, engine.predict.batches)) <= 16


async def test_another_thread_computes_full_batches_and_no_others():
    async with Engine(threads=2) as engine:
        await engine.hold()
        few = engine.submit(1, 2, 3)
        await asyncio.sleep(0.05)
        assert engine.predict.batches == [[1000]]
        enough = engine.submit(4, 5, 6, 7, 8, 9)
        await until(lambda: len(engine.predict.batches) == 2)
        assert engine.predict.batches[1] == [1, 2, 3, 4, 5, 6, 7, 8]
        await asyncio.sleep(0.05)
        assert engine.batcher.waiting_rows == 1
        engine.predict.gate.set()
        assert (await few).tolist() == answer(1, 2, 3)
        assert (await enough).tolist() == answer(4, 5, 6, 7, 8, 9)
        assert len(engine.predict.threads) == 2


async def test_the_parts_of_a_request_come_together_from_all_threads():
    async with Engine(threads=3) as engine:
        engine.predict.gate.clear()
        task = engine.submit(*range(100))
        await until(lambda: len(engine.predict.batches) == 3)
        engine.predict.gate.set()
        assert (await task).tolist() == answer(*range(100))
        assert len(engine.predict.threads) == 3


async def test_when_one_thread_dies_nobody_waits_for_any(caplog):
    class Fatal(BaseException):
        pass

    gate = threading.Event()

    def die(numbers):
        assert gate.wait(10)
        if numbers[0] == 0:
            raise Fatal
        return numbers

    batcher = Batcher(die, max_batch_rows=1, queue_limit_rows=8, threads=3)
    tasks = [asyncio.create_task(batcher.submit(rows(n))) for n in (0, 1, 2, 3)]
    await asyncio.sleep(0.05)
    gate.set()
    with caplog.at_level(logging.CRITICAL):
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert isinstance(outcomes[0], EngineDead)
    assert all(isinstance(outcome, EngineDead | np.ndarray) for outcome in outcomes)
    assert not batcher.alive
    await asyncio.wait_for(batcher.close(), 5)
    assert not any(thread.is_alive() for thread in batcher._threads)
