"""The engine against a model of it: a list from which each batch takes row by row, of the oldest, then the shortest.

The engine computes a batch when a step allows it and not before, so that at every moment one knows what it must be at.
"""

import asyncio
import math
import threading
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from service.engine.batcher import Batcher
from service.engine.errors import DeadlineExceeded, PredictFailed, QueueFull
from tests.support.examples import examples

BATCH, LIMIT = 4, 12
HALF = BATCH // 2
DEADLINE_S = 1000
PATIENCE_S = 10


class Stepper:
    """Answers [n, 2] for rows int64 [n, 1], a number and its square, when it is allowed to; raises for less than 0."""

    def __init__(self):
        self.begun = []
        self.retries = Counter()  # how many calls follow the one that fails, by its numbers
        self.unguarded = Counter()  # by thread
        self.loop_thread = threading.get_ident()
        self.allowed = defaultdict(lambda: threading.Semaphore(0))

    def __call__(self, rows):
        numbers = rows[:, 0].tolist()
        thread = threading.get_ident()
        if self.unguarded[thread]:  # the second try of a batch that failed
            self.unguarded[thread] -= 1
        elif thread == self.loop_thread:  # to wait here would be to wait for oneself
            self.begun.append(numbers)
        else:
            allowed = self.allowed[tuple(numbers)]  # made before anybody is told, or both would make one
            self.begun.append(numbers)
            assert allowed.acquire(timeout=PATIENCE_S)
            self.unguarded[thread] = self.retries[tuple(numbers)]
        if min(numbers) < 0:
            raise ValueError("poison")
        return np.concatenate([rows, rows**2], axis=1)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    skipped_s = 0.0

    def time(self):
        return super().time() + self.skipped_s


class Asked:
    """A request as the model sees it."""

    def __init__(self, numbers, task, impatient):
        self.numbers, self.task, self.impatient = numbers, task, impatient
        self.waiting = list(numbers)  # rows that are in no batch yet
        self.missing = len(numbers)
        self.batches_left = math.inf  # after so many more batches, at most, no row of it waits


class EngineMachine(RuleBasedStateMachine):
    threads, inline_rows = 1, 0

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=SkippingLoop)
        self.predict = Stepper()
        self.batcher = Batcher(
            self.predict,
            max_batch_rows=BATCH,
            queue_limit_rows=LIMIT,
            threads=self.threads,
            inline_rows=self.inline_rows,
        )
        self.number = 0
        self.queue = []
        self.running = []  # what is being computed: batches of requests with some of their numbers, each
        self.batches = 0
        self.last_rows = 0  # of the last batch that did not fail

    def teardown(self):
        while self.running:
            self.finish(0)
        self.runner.run(self.batcher.close())
        assert not self.batcher.alive
        self.runner.close()

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, (self.running, self.predict.begun, self.batcher.waiting_rows)
            self.runner.run(asyncio.sleep(0.0005))

    # The model

    def take(self):
        """Forms the next batches: one if there is none, and full ones as long as there is a thread for them."""
        began = []
        while self.queue and (not self.running or (self.waiting_rows() >= BATCH and len(self.running) < self.threads)):
            numbers = {}
            for place in range(min(BATCH, self.waiting_rows())):
                shortest = min(self.queue, key=lambda asked: len(asked.numbers).bit_length())
                asked = self.queue[0] if place < HALF else shortest
                numbers.setdefault(asked, []).append(asked.waiting.pop(0))
                self.queue = [asked for asked in self.queue if asked.waiting]
            for asked in self.queue:
                asked.batches_left -= 1
                assert asked.batches_left > 0
            self.running.append([*numbers.items()])
            began.append(numbers_of(self.running[-1]))
        before, self.batches = self.batches, self.batches + len(began)
        self.until(lambda: len(self.predict.begun) >= self.batches)
        assert sorted(self.predict.begun[before:]) == sorted(began)

    def settle(self):
        """Waits for threads on their way to rest: they may have to note what they did, and nobody else knows."""
        self.until(lambda: self.batcher._idle_threads == self.threads - len(self.running))

    def leave(self, asked):
        if asked in self.queue:
            self.queue.remove(asked)

    def waiting_rows(self):
        return sum(len(asked.waiting) for asked in self.queue)

    # What can happen

    @rule(size=st.integers(1, LIMIT + 1), poison=st.integers(0, 40), impatient=st.booleans())
    def ask(self, size, poison, impatient):
        numbers = [self.number + i for i in range(size)]
        self.number += size
        if poison < size:
            numbers[poison] = -1 - numbers[poison]
        rows = np.array(numbers, np.int64)[:, None]
        self.settle()
        deadline_s = time.monotonic() + DEADLINE_S if impatient else None
        task = self.runner.get_loop().create_task(self.batcher.submit(rows, deadline_s))
        self.runner.run(asyncio.sleep(0))
        if self.waiting_rows() + size > LIMIT:
            self.until(task.done)
            error = task.exception()
            assert isinstance(error, QueueFull)
            assert (error.waiting, error.limit) == (self.waiting_rows(), LIMIT)
            return
        if not self.running and max(size, self.last_rows) <= self.inline_rows:
            self.compute_inline(numbers, task)
            return
        self.queue.append(Asked(numbers, task, impatient))
        self.queue[-1].batches_left = math.ceil(self.waiting_rows() / HALF)
        self.take()

    def compute_inline(self, numbers, task):
        """The event loop computes it, without anybody's leave."""
        self.until(task.done)
        self.batches += 1
        assert self.predict.begun[-1] == numbers
        if min(numbers) < 0:
            assert isinstance(task.exception(), PredictFailed)
        else:
            assert task.result().tolist() == [[number, number**2] for number in numbers]
            self.last_rows = len(numbers)

    def waiting(self):
        """Requests that have no answer yet."""
        asked = dict.fromkeys([*self.queue, *(asked for batch in self.running for asked, _ in batch)])
        return [each for each in asked if not each.task.done()]

    @rule()
    def time_passes(self):
        waiting = self.waiting()
        self.runner.get_loop().skipped_s += 2 * DEADLINE_S
        for asked in waiting:
            if asked.impatient:
                self.until(asked.task.done)
                assert isinstance(asked.task.exception(), DeadlineExceeded)
                self.leave(asked)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def cancel(self, data):
        waiting = self.waiting()
        asked = waiting[data.draw(st.integers(0, len(waiting) - 1))]
        asked.task.cancel()
        self.until(asked.task.done)
        assert asked.task.cancelled()
        self.leave(asked)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def step(self, data):
        self.finish(data.draw(st.integers(0, len(self.running) - 1)))

    def finish(self, index):
        """One of the batches may end."""
        batch = self.running.pop(index)
        fails = min(numbers_of(batch)) < 0
        if fails and len(batch) > 1:
            self.predict.retries[tuple(numbers_of(batch))] = len(batch)
        self.predict.allowed[tuple(numbers_of(batch))].release()
        if not fails:
            self.last_rows = sum(len(numbers) for _, numbers in batch)
        for asked, numbers in batch:
            asked.missing -= len(numbers)
            if fails and min(numbers) >= 0:
                self.last_rows = len(numbers)
            if min(numbers) < 0:
                self.leave(asked)
                if not asked.task.done():
                    self.until(asked.task.done)
                    assert isinstance(asked.task.exception(), PredictFailed)
            elif not asked.missing and not asked.task.done():
                self.until(asked.task.done)
                assert asked.task.result().tolist() == [[number, number**2] for number in asked.numbers]
        self.take()
        self.settle()

    @invariant()
    def as_many_rows_wait_as_in_the_model(self):
        assert self.batcher.waiting_rows == self.waiting_rows()

    @invariant()
    def who_waits_has_no_answer(self):
        assert not any(asked.task.done() for asked in self.queue)


def numbers_of(batch):
    """The rows of a batch, in their order."""
    return [number for _, numbers in batch for number in numbers]


class ThreadsMachine(EngineMachine):
    """Several batches at the same time."""

    threads = 3


class InlineMachine(EngineMachine):
    """As the service has it: a row that comes alone is computed on the event loop."""

    threads, inline_rows = 2, 1


@pytest.mark.parametrize("machine", [EngineMachine, ThreadsMachine, InlineMachine])
def test_the_engine_does_what_the_model_does(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
    )
