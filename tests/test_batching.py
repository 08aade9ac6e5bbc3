import asyncio
import logging
import random
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batching import Batcher, Closed, DeadlineExceeded, EngineDead, PredictFailed, QueueFull

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


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


async def test_large_requests_are_split_and_small_ones_packed_in_order_of_arrival():
    async with Engine() as engine:
        await engine.hold()
        first, large, last = engine.submit(1, 2), engine.submit(*range(10, 30)), engine.submit(3)
        await until(lambda: engine.batcher.waiting_rows == 23)
        engine.predict.gate.set()
        assert (await large).tolist() == answer(*range(10, 30))
        assert (await first).tolist() == answer(1, 2)
        assert (await last).tolist() == answer(3)
        assert engine.predict.batches[1:] == [[1, 2, *range(10, 16)], [*range(16, 24)], [*range(24, 30), 3]]


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
        large, next_one = engine.submit(*range(100)), engine.submit(7)
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


@settings(deadline=None, max_examples=60)
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
            assert [n for batch in batches for n in batch] == [n for numbers in questions for n in numbers]
            assert all(len(batch) == max_batch_rows for batch in batches[:-1])

    asyncio.run(run())


class Clock:
    """Stands still, but for predictions: half a second for each row."""

    now_s = 0.0

    def __call__(self, numbers):
        self.now_s += len(numbers) / 2
        return numbers


async def test_a_full_queue_says_how_long_its_rows_take_at_the_rate_of_the_last_batches(monkeypatch):
    clock, gate = Clock(), threading.Event()
    gate.set()

    begun = []

    def predict(numbers):
        begun.append(len(numbers))
        assert gate.wait(10)
        return clock(numbers)

    monkeypatch.setattr("service.batching.time.perf_counter", lambda: clock.now_s)
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


async def test_how_long_a_request_waited_is_told_once_however_many_batches_it_takes(monkeypatch):
    told = []
    batcher = Batcher(Squares(), max_batch_rows=2, queue_limit_rows=100, watch=told.append)
    await batcher.submit(rows(1, 2, 3, 4, 5))
    await batcher.close()
    assert [(batch.rows, len(batch.waited_s)) for batch in told] == [(2, 1), (2, 0), (1, 0)]


async def test_a_request_whose_time_is_up_when_it_comes_never_waits():
    async with Engine() as engine:
        with pytest.raises(DeadlineExceeded):
            await engine.batcher.submit(rows(1), time.monotonic() - 1)
        assert (engine.batcher.waiting_rows, engine.predict.batches) == (0, [])
