"""Inline batches: few rows are computed on the event loop itself."""

import asyncio
import logging
import threading
import time

import numpy as np
import pytest

from service.engine.batcher import Batcher
from service.engine.errors import DeadlineExceeded, EngineDead, PredictFailed
from tests.support.engine import Engine, Squares, answer, rows, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("inline_rows", "on_the_loop"), [(0, False), (1, True)])
async def test_a_row_alone_is_computed_on_the_event_loop_if_that_is_allowed(inline_rows, on_the_loop):
    async with Engine(inline_rows=inline_rows) as engine:
        for number in range(5):
            assert (await engine.submit(number)).tolist() == answer(number)
        assert engine.predict.batches == [[number] for number in range(5)]
        assert (engine.predict.threads == {threading.get_ident()}) == on_the_loop


async def test_rows_that_come_together_are_a_batch_of_the_thread_and_so_is_the_next_one():
    async with Engine(inline_rows=1) as engine:
        await asyncio.gather(engine.submit(1), engine.submit(2), engine.submit(3))
        assert threading.get_ident() not in engine.predict.threads
        await engine.submit(4)
        assert threading.get_ident() not in engine.predict.threads, "there are many callers, it seems"
        assert engine.predict.batches == [[1, 2, 3], [4]]
        while threading.get_ident() not in engine.predict.threads:  # there was but one, as soon as the thread rests
            await asyncio.sleep(0.001)
            await engine.submit(5)
            assert len(engine.predict.batches) < 1000


async def test_whoever_gives_up_before_the_row_is_computed_is_not_waited_for():
    async with Engine(inline_rows=1) as engine:
        task = engine.submit(1)
        asyncio.get_running_loop().call_soon(task.cancel)  # after `submit`, before the engine starts
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await engine.submit(2)).tolist() == answer(2)
        assert engine.predict.batches == [[2]]


async def test_whoever_came_with_one_that_gives_up_is_answered():
    async with Engine(inline_rows=1) as engine:
        first, second = engine.submit(1), engine.submit(2)
        asyncio.get_running_loop().call_soon(first.cancel)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await asyncio.wait_for(second, 5)).tolist() == answer(2)
        assert engine.predict.batches == [[2]]


async def test_what_fails_on_the_event_loop_fails_alone():
    async with Engine(Squares(poison=[13]), inline_rows=1) as engine:
        with pytest.raises(PredictFailed, match="poison"):
            await engine.submit(13)
        assert (await engine.submit(2)).tolist() == answer(2)


async def test_closing_answers_what_has_been_accepted_and_not_begun():
    engine = Engine(inline_rows=1)
    task = engine.submit(1)
    await asyncio.sleep(0)
    await engine.batcher.close()
    assert (await task).tolist() == answer(1)


async def test_a_death_on_the_event_loop_is_no_less_a_death(caplog):
    class Fatal(BaseException):
        pass

    def die(_):
        raise Fatal

    batcher = Batcher(die, max_batch_rows=1, queue_limit_rows=8, inline_rows=1)
    with caplog.at_level(logging.CRITICAL), pytest.raises(EngineDead):
        await batcher.submit(rows(1))
    assert not batcher.alive
    assert "the engine has died" in caplog.text
    assert "Fatal" in caplog.text


async def test_a_row_alone_is_computed_on_the_event_loop_only_if_all_threads_rest():
    async with Engine(threads=2, inline_rows=1) as engine:
        engine.predict.gate.clear()
        held = engine.submit(*range(8))
        await until(lambda: engine.predict.batches)
        alone = engine.submit(9)
        await asyncio.sleep(0.05)
        engine.predict.gate.set()
        assert (await alone).tolist() == answer(9)
        assert threading.get_ident() not in engine.predict.threads
        await held


async def test_a_caller_without_others_gets_its_answer_without_waiting():
    async with Engine(inline_rows=2) as engine:
        for number in range(5):
            assert engine.batcher.compute_now(rows(number, 1)).tolist() == answer(number, 1)
        assert engine.predict.threads == {threading.get_ident()}
        assert (await engine.submit(7)).tolist() == answer(7)


async def test_an_engine_that_is_not_idle_computes_nothing_at_once():
    async with Engine(inline_rows=1) as engine:
        assert engine.batcher.compute_now(rows(1, 2)) is None, "too many rows"
        waiting = engine.submit(1)
        await asyncio.sleep(0)
        assert engine.batcher.compute_now(rows(2)) is None, "another one came before"
        await waiting
        engine.predict.gate.clear()
        held = [engine.submit(3), engine.submit(4)]
        await until(lambda: engine.predict.batches[-1] == [3, 4])
        assert engine.batcher.compute_now(rows(2)) is None, "a thread computes"
        engine.predict.gate.set()
        await asyncio.gather(*held)
        await until(lambda: engine.batcher._idle_threads == 1)
        assert engine.batcher.compute_now(rows(2), alone=False) is None, "others come, maybe"
        await until(lambda: engine.batcher.compute_now(rows(2)) is not None)
        engine.predict.batches.clear()
    assert engine.batcher.compute_now(rows(3)) is None, "it is closed"
    assert engine.predict.batches == []


class HeldOnThreads(Squares):
    """The gate does not hold the event loop's thread."""

    def __init__(self):
        super().__init__()
        self.loop_thread = threading.get_ident()

    def __call__(self, rows):
        if threading.get_ident() != self.loop_thread:
            return super().__call__(rows)
        self.batches.append(rows[:, 0].tolist())
        return np.concatenate([rows, rows**2], axis=1)


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_row_overtakes_longer_requests_and_none_as_short(threads):
    async with Engine(HeldOnThreads(), threads=threads, inline_rows=1) as engine:
        engine.predict.gate.clear()
        long = engine.submit(*range(40))
        await until(lambda: len(engine.predict.batches) == threads)
        engine.predict.batches.clear()
        for number in (50, 51):
            assert engine.batcher.compute_now(rows(number), alone=False).tolist() == answer(number)
        assert engine.predict.batches == [[50], [51]]
        short = engine.submit(60)
        await until(lambda: engine.batcher.waiting_rows == 40 - 8 * threads + 1)
        assert engine.batcher.compute_now(rows(70), alone=False) is None, "one as short waits"
        engine.predict.gate.set()
        assert (await short).tolist() == answer(60)
        assert (await long).tolist() == answer(*range(40))


async def test_what_is_due_is_not_computed_at_once_either():
    observed = []
    async with Engine(inline_rows=1, observer=observed.append) as engine:
        with pytest.raises(DeadlineExceeded):
            engine.batcher.compute_now(rows(1), time.monotonic())
        assert engine.predict.batches == []
        calls = []
        engine.batcher.compute_now(rows(1), time.monotonic() + 10, lambda *seconds: calls.append(seconds))
        assert len(calls) == 1
        assert [batch.rows for batch in observed] == [1]


async def test_what_fails_at_once_fails_alone():
    async with Engine(Squares(poison=[13]), inline_rows=1) as engine:
        with pytest.raises(PredictFailed, match="a request of 1 rows: ValueError") as caught:
            engine.batcher.compute_now(rows(13))
        assert isinstance(caught.value.__cause__, ValueError)
        assert engine.batcher.compute_now(rows(2)).tolist() == answer(2)


async def test_rows_of_another_thread_that_come_meanwhile_are_computed_behind():
    async with Engine(inline_rows=1) as engine:
        engine.predict.gate.clear()

        def submit():
            async def one():
                engine_answer = asyncio.create_task(engine.batcher.submit(rows(5)))
                await asyncio.sleep(0)
                engine.predict.gate.set()
                return await engine_answer

            return asyncio.run(one())

        other = asyncio.create_task(asyncio.to_thread(submit))
        await asyncio.sleep(0)
        assert engine.batcher.compute_now(rows(1)).tolist() == answer(1)
        assert (await other).tolist() == answer(5)


async def test_a_death_at_once_is_no_less_a_death(caplog):
    def die(_):
        raise SystemExit

    batcher = Batcher(die, max_batch_rows=1, queue_limit_rows=8, inline_rows=1)
    await until(lambda: batcher._idle_threads == 1)
    with caplog.at_level(logging.CRITICAL), pytest.raises(EngineDead):
        batcher.compute_now(rows(1))
    assert not batcher.alive
    assert batcher.compute_now(rows(1)) is None
