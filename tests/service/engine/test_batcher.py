"""The batcher: rows of concurrent requests in batches, the queue limit, cancellation, failure and close."""

import asyncio
import logging
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.batcher import Batcher
from service.engine.errors import Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull
from tests.support.engine import Engine, Squares, answer, rows, until
from tests.support.examples import examples

pytestmark = pytest.mark.anyio


async def test_each_row_gets_its_own_answer():
    async with Engine() as engine:
        assert (await engine.batcher.submit(rows(3, 1, 2))).tolist() == answer(3, 1, 2)


async def test_an_idle_engine_starts_at_once_and_alone():
    async with Engine() as engine:
        for n in range(5):
            await engine.submit(n)
        assert engine.predict.batches == [[0], [1], [2], [3], [4]]


async def test_what_arrives_while_it_computes_forms_the_next_batch():
    async with Engine() as engine:
        held = await engine.hold()
        waiting = [engine.submit(1), engine.submit(2, 3), engine.submit(4)]
        await until(lambda: engine.batcher.waiting_rows == 4)
        engine.predict.gate.set()
        assert [(await task).tolist() for task in waiting] == [answer(1), answer(2, 3), answer(4)]
        assert (await held).tolist() == answer(1000)
        assert engine.predict.batches == [[1000], [1, 2, 3, 4]]


async def test_large_requests_are_split_and_small_ones_packed():
    async with Engine() as engine:
        await engine.hold()
        first, large, last = engine.submit(1, 2), engine.submit(*range(10, 30)), engine.submit(3)
        await until(lambda: engine.batcher.waiting_rows == 23)
        engine.predict.gate.set()
        assert (await large).tolist() == answer(*range(10, 30))
        assert (await first).tolist() == answer(1, 2)
        assert (await last).tolist() == answer(3)
        assert engine.predict.batches[1:] == [[1, 2, *range(10, 15), 3], [*range(15, 23)], [*range(23, 30)]]


async def test_a_lonely_request_reaches_predict_without_a_copy():
    seen = []

    def same(given):
        seen.append(given)
        return given.copy()

    batcher = Batcher(same, max_batch_rows=8, queue_limit_rows=8)
    mine = rows(1, 2, 3)
    await batcher.submit(mine)
    await batcher.close()
    assert np.shares_memory(seen[0], mine)


async def test_everything_is_computed_on_one_thread_that_is_not_the_callers():
    async with Engine() as engine:
        await asyncio.gather(*(engine.submit(n) for n in range(50)))
        assert len(engine.predict.threads) == 1
        assert threading.get_ident() not in engine.predict.threads


async def test_the_event_loop_runs_on_while_a_batch_computes():
    async with Engine() as engine:
        held = await engine.hold()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not held.done()


async def test_the_queue_limit_counts_rows_and_not_requests():
    """Seen elsewhere: a limit of 100 requests that let 100 requests of 4,096 rows in."""
    async with Engine(queue_limit_rows=10) as engine:
        await engine.hold()
        waiting = engine.submit(*range(7))
        await until(lambda: engine.batcher.waiting_rows == 7)
        with pytest.raises(QueueFull, match=r"^7 rows are waiting, and the limit is 10$") as caught:
            await engine.batcher.submit(rows(1, 2, 3, 4))
        assert (caught.value.waiting, caught.value.limit) == (7, 10)
        exact = engine.submit(1, 2, 3)
        await until(lambda: engine.batcher.waiting_rows == 10)
        engine.predict.gate.set()
        assert (await waiting).tolist() == answer(*range(7))
        assert (await exact).tolist() == answer(1, 2, 3)


async def test_the_queue_takes_new_requests_after_it_was_full():
    async with Engine(queue_limit_rows=4) as engine:
        await engine.hold()
        waiting = engine.submit(1, 2, 3, 4)
        await until(lambda: engine.batcher.waiting_rows == 4)
        with pytest.raises(QueueFull):
            await engine.submit(5)
        engine.predict.gate.set()
        await waiting
        assert engine.batcher.waiting_rows == 0
        assert (await engine.submit(5)).tolist() == answer(5)


async def test_a_cancelled_caller_frees_its_rows_before_they_are_computed():
    """Seen elsewhere: work done for clients that have already left."""
    async with Engine(queue_limit_rows=10) as engine:
        await engine.hold()
        stays, leaves = engine.submit(1), engine.submit(*range(50, 59))
        await until(lambda: engine.batcher.waiting_rows == 10)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert engine.batcher.waiting_rows == 1
        fills = engine.submit(*range(60, 69))
        await until(lambda: engine.batcher.waiting_rows == 10)
        engine.predict.gate.set()
        assert (await stays).tolist() == answer(1)
        assert (await fills).tolist() == answer(*range(60, 69))
        assert not {*range(50, 59)} & {n for batch in engine.predict.batches for n in batch}


async def test_a_caller_cancelled_in_the_middle_of_a_split_request_frees_the_rest():
    async with Engine() as engine:
        engine.predict.gate.clear()
        large = engine.submit(*range(100))
        await until(lambda: engine.batcher.waiting_rows == 92)
        large.cancel()
        await until(lambda: engine.batcher.waiting_rows == 0)
        engine.predict.gate.set()
        assert (await engine.submit(200)).tolist() == answer(200)
        assert engine.predict.batches == [[*range(8)], [200]]


async def test_rows_of_a_caller_cancelled_in_this_very_moment_are_not_computed_either():
    """The engine may come round before the cancelled task does."""
    async with Engine() as engine:
        held = await engine.hold()
        stays, leaves = engine.submit(1), engine.submit(2)
        await until(lambda: engine.batcher.waiting_rows == 2)
        leaves.cancel()
        engine.predict.gate.set()
        time.sleep(0.1)  # the event loop must not run before the engine does
        assert (await held).tolist() == answer(1000)
        assert (await stays).tolist() == answer(1)
        assert engine.batcher.waiting_rows == 0
        assert engine.predict.batches == [[1000], [1]]


async def test_only_the_culprit_of_a_failing_batch_fails():
    """Seen elsewhere: one bad row failing its neighbours; a failed batch answered with 200."""
    async with Engine(Squares(poison=[13])) as engine:
        held = await engine.hold()
        good, bad, also_good = engine.submit(1, 2), engine.submit(12, 13), engine.submit(3)
        await until(lambda: engine.batcher.waiting_rows == 5)
        engine.predict.gate.set()
        assert (await held).tolist() == answer(1000)
        assert (await good).tolist() == answer(1, 2)
        assert (await also_good).tolist() == answer(3)
        with pytest.raises(
            PredictFailed, match=r"^predict failed on a request of 2 rows: ValueError\('poison \{13\}'\)$"
        ) as caught:
            await bad
        assert str(caught.value.__cause__) == "poison {13}"
        assert engine.predict.batches[1:] == [[1, 2, 12, 13, 3], [1, 2], [12, 13], [3]]
        assert (await engine.submit(4)).tolist() == answer(4)


async def test_a_split_request_that_fails_leaves_the_queue():
    async with Engine(Squares(poison=[3])) as engine:
        engine.predict.gate.clear()
        large = engine.submit(*range(100))
        await until(lambda: engine.predict.batches)
        next_one = engine.submit(7)
        engine.predict.gate.set()
        with pytest.raises(PredictFailed):
            await large
        assert (await next_one).tolist() == answer(7)
        assert engine.batcher.waiting_rows == 0
        assert engine.predict.batches == [[*range(8)], [7]]


@pytest.mark.parametrize("other", [np.array([[2, 3]], np.int64), np.array([[0.5]])], ids=["width", "dtype"])
async def test_rows_of_another_width_or_dtype_do_not_harm_their_neighbours(other):
    async with Engine() as engine:
        await engine.hold()
        good, strange = engine.submit(1), asyncio.create_task(engine.batcher.submit(other))
        await until(lambda: engine.batcher.waiting_rows == 2)
        engine.predict.gate.set()
        assert (await good).dtype == np.int64
        assert (await good).tolist() == answer(1)
        assert (await strange).tolist() == np.concatenate([other, other**2], axis=1).tolist()


@pytest.mark.parametrize(("returned", "text"), [(1, "1 rows for 2"), (3, "3 rows for 2"), (0, "0 rows for 2")])
async def test_a_wrong_number_of_answers_is_an_error_and_no_answer(returned, text):
    """Seen elsewhere: rows of one caller returned to another."""
    batcher = Batcher(lambda given: np.zeros((returned, 2)), max_batch_rows=8, queue_limit_rows=8)
    with pytest.raises(PredictFailed, match=f"predict returned {text}"):
        await batcher.submit(rows(1, 2))
    await batcher.close()


async def test_a_request_of_no_rows_is_refused():
    async with Engine() as engine:
        with pytest.raises(ValueError, match=r"^a request has 0 rows, want at least 1$"):
            await engine.batcher.submit(np.zeros((0, 1), np.int64))


async def test_close_finishes_what_was_accepted_and_refuses_the_rest():
    engine = Engine()
    held = await engine.hold()
    waiting = [engine.submit(n, n + 1) for n in range(20)]
    await until(lambda: engine.batcher.waiting_rows == 40)
    closing = asyncio.create_task(engine.batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        await engine.submit(5)
    engine.predict.gate.set()
    assert (await held).tolist() == answer(1000)
    assert [(await task).tolist() for task in waiting] == [answer(n, n + 1) for n in range(20)]
    await closing
    assert not engine.batcher.alive
    with pytest.raises(Closed):
        await engine.submit(5)


async def test_close_gives_up_after_its_timeout():
    async with Engine() as engine:
        held = await engine.hold()
        waiting = engine.submit(1)
        await until(lambda: engine.batcher.waiting_rows == 1)
        await engine.batcher.close(0.05)
        with pytest.raises(Closed):
            await held
        with pytest.raises(Closed):
            await waiting


async def test_closing_twice_is_as_good_as_once():
    async with Engine() as engine:
        await engine.batcher.close()


async def test_a_dead_engine_says_so_and_leaves_nobody_waiting(caplog):
    """Seen elsewhere: a dead worker reported healthy, and requests that hang for ever."""
    go = threading.Event()

    def die(_):
        go.wait(10)
        raise SystemExit

    batcher = Batcher(die, max_batch_rows=1, queue_limit_rows=8)
    assert batcher.alive
    computing, waiting = asyncio.create_task(batcher.submit(rows(1))), asyncio.create_task(batcher.submit(rows(2)))
    await until(lambda: batcher.waiting_rows == 1)
    with caplog.at_level(logging.CRITICAL):
        go.set()
        for task in (computing, waiting):
            with pytest.raises(EngineDead):
                await asyncio.wait_for(task, 5)
    assert "the engine has died" in caplog.text
    assert not batcher.alive
    assert batcher.waiting_rows == 0
    with pytest.raises(EngineDead):
        await batcher.submit(rows(3))


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 9))
def test_any_sizes_of_requests_and_batches_come_out_right(sizes, max_batch_rows):
    async def run():
        async with Engine(max_batch_rows=max_batch_rows) as engine:
            await engine.hold()
            questions = [range(100 * i, 100 * i + size) for i, size in enumerate(sizes)]
            tasks = [engine.submit(*numbers) for numbers in questions]
            await until(lambda: engine.batcher.waiting_rows == sum(sizes))
            engine.predict.gate.set()
            assert [(await task).tolist() for task in tasks] == [answer(*numbers) for numbers in questions]
            batches = engine.predict.batches[1:]
            computed = [n for batch in batches for n in batch]
            assert [[n for n in computed if n in numbers] for numbers in questions] == [[*of] for of in questions]
            assert len(computed) == sum(sizes)
            assert all(len(batch) == max_batch_rows for batch in batches[:-1])

    asyncio.run(run())


class Clock:
    """Stands still, but for predictions: half a second for each row, unless told otherwise."""

    now_s = 0.0

    def __init__(self, row_s=0.5):
        self.row_s = row_s

    def __call__(self, numbers):
        self.now_s += len(numbers) * self.row_s
        return numbers


async def test_a_full_queue_says_how_long_its_rows_take_at_the_rate_of_the_last_batches(monkeypatch):
    clock, gate = Clock(), threading.Event()
    gate.set()

    begun = []

    def predict(numbers):
        begun.append(len(numbers))
        assert gate.wait(10)
        return clock(numbers)

    monkeypatch.setattr("service.engine.batcher.time.perf_counter", lambda: clock.now_s)
    batcher = Batcher(predict, max_batch_rows=4, queue_limit_rows=6)
    for _ in range(3):
        await batcher.submit(rows(1, 2, 3, 4))
    gate.clear()
    asked = [asyncio.create_task(batcher.submit(rows(1)))]
    await until(lambda: begun == [4, 4, 4, 1])
    asked.append(asyncio.create_task(batcher.submit(rows(1, 2, 3, 4, 5))))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refusal:
        await batcher.submit(rows(1, 2))
    assert (refusal.value.waiting, refusal.value.retry_after_s) == (5, 3)
    gate.set()
    await asyncio.gather(*asked)
    await batcher.close()


async def test_who_might_not_be_answered_in_time_is_refused_at_once_because_of_requests_as_short_or_shorter(
    monkeypatch,
):
    """Seen under overload: most rows expired in the queue, and many others were computed for nothing."""
    clock, gate, begun = Clock(row_s=50), threading.Event(), []

    def predict(numbers):
        begun.append(len(numbers))
        assert gate.wait(10)
        return clock(numbers)

    monkeypatch.setattr("service.engine.batcher.time.perf_counter", lambda: clock.now_s)
    batcher = Batcher(predict, max_batch_rows=4, queue_limit_rows=100)
    in_450_s = time.monotonic() + 450  # nine rows
    held = asyncio.create_task(batcher.submit(rows(1, 2, 3, 4)))
    await until(lambda: begun)
    asked = [asyncio.create_task(batcher.submit(rows(*range(n)), in_450_s)) for n in (5, 7)]
    await asyncio.sleep(0)
    assert batcher.waiting_rows == 12, "how long a batch takes is not known yet"
    gate.set()
    await asyncio.gather(held, *asked)
    gate.clear()
    asked = [asyncio.create_task(batcher.submit(rows(1)))]
    await until(lambda: begun[-1] == 1)
    asked.append(asyncio.create_task(batcher.submit(rows(*range(20)), time.monotonic() + 450)))
    await asyncio.sleep(0)
    assert batcher.waiting_rows == 20, "nobody waits before it"
    asked.append(asyncio.create_task(batcher.submit(rows(1, 2, 3, 4, 5), time.monotonic() + 450)))
    await asyncio.sleep(0)
    assert batcher.waiting_rows == 25, "nobody as short waits before it"
    with pytest.raises(QueueFull, match=r"^5 rows are waiting, and the limit for this deadline is 2$") as refusal:
        batcher.check_room(4, time.monotonic() + 450)
    assert refusal.value.retry_after_s == 250
    batcher.check_room(4, time.monotonic() + 850)
    batcher.check_room(3, time.monotonic() + 450)
    gate.set()
    await asyncio.gather(*asked)
    await batcher.close()


async def test_one_slow_batch_is_forgotten_though_no_full_one_follows(monkeypatch):
    """Or else few could wait from then on, so that there would never be a full batch again."""
    clock = Clock(row_s=1000)
    monkeypatch.setattr("service.engine.batcher.time.perf_counter", lambda: clock.now_s)
    batcher = Batcher(clock, max_batch_rows=4, queue_limit_rows=100)
    await batcher.submit(rows(1, 2, 3, 4))
    assert batcher._row_s == 1000
    clock.row_s = 1
    for _ in range(100):
        await batcher.submit(rows(1))
    assert 1 <= batcher._row_s < 2
    clock.row_s = 5
    await batcher.submit(rows(1))
    assert batcher._row_s < 2, "a row alone takes longer than one of many"
    await batcher.close()


async def test_how_long_a_request_waited_is_told_once_however_many_batches_it_takes(monkeypatch):
    told = []
    batcher = Batcher(Squares(), max_batch_rows=2, queue_limit_rows=100, observer=told.append)
    await batcher.submit(rows(1, 2, 3, 4, 5))
    await batcher.close()
    assert [(batch.rows, len(batch.waited_s)) for batch in told] == [(2, 1), (2, 0), (1, 0)]


async def test_a_request_whose_time_is_up_when_it_comes_never_waits():
    async with Engine() as engine:
        with pytest.raises(DeadlineExceeded):
            await engine.batcher.submit(rows(1), time.monotonic() - 1)
        assert (engine.batcher.waiting_rows, engine.predict.batches) == (0, [])
