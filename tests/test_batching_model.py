"""The engine against a model of it: a list from which rows are taken in their order.

The engine computes a batch when a step allows it and not before, so that at every moment one knows what it must be at.
"""

import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from service.batching import Batcher, DeadlineExceeded, PredictFailed, QueueFull

BATCH, LIMIT = 4, 12
DEADLINE_S = 1000
POISON = -1
PATIENCE_S = 10


class Stepper:
    """Answers [n, 2] for rows int64 [n, 1], a number and its square, when it is allowed to; poison makes it raise."""

    def __init__(self):
        self.begun = []
        self.unguarded = 0
        self.loop_thread = threading.get_ident()
        self.allowed = threading.Semaphore(0)

    def __call__(self, rows):
        numbers = rows[:, 0].tolist()
        if self.unguarded:  # the second try of a batch that failed
            self.unguarded -= 1
        elif threading.get_ident() == self.loop_thread:  # to wait here would be to wait for oneself
            self.begun.append(numbers)
        else:
            self.begun.append(numbers)
            assert self.allowed.acquire(timeout=PATIENCE_S)
        if POISON in numbers:
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


class EngineMachine(RuleBasedStateMachine):
    inline_rows = 0

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=SkippingLoop)
        self.predict = Stepper()
        self.batcher = Batcher(self.predict, max_batch_rows=BATCH, queue_limit_rows=LIMIT, inline_rows=self.inline_rows)
        self.number = 0
        self.queue = []
        self.batch = []  # what is being computed: a request with some of its numbers, each
        self.batches = 0
        self.last_rows = 0  # of the last batch that did not fail

    def teardown(self):
        while self.batch:
            self.step()
        self.runner.run(self.batcher.close())
        assert not self.batcher.alive
        self.runner.close()

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, (self.batch, self.predict.begun, self.batcher.waiting_rows)
            self.runner.run(asyncio.sleep(0.0005))

    # The model

    def take(self):
        """Forms the next batch."""
        room = BATCH
        while room and self.queue:
            asked = self.queue[0]
            numbers, asked.waiting = asked.waiting[:room], asked.waiting[room:]
            self.batch.append((asked, numbers))
            room -= len(numbers)
            if not asked.waiting:
                self.queue.pop(0)
        if self.batch:
            self.batches += 1
            wanted = [number for _, numbers in self.batch for number in numbers]
            self.until(lambda: len(self.predict.begun) == self.batches)
            assert self.predict.begun[-1] == wanted

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
            numbers[poison] = POISON
        rows = np.array(numbers, np.int64)[:, None]
        if not self.batch:
            self.until(lambda: self.batcher._resting)  # its thread may still be on the way to rest
        deadline_s = time.monotonic() + DEADLINE_S if impatient else None
        task = self.runner.get_loop().create_task(self.batcher.submit(rows, deadline_s))
        self.runner.run(asyncio.sleep(0))
        if self.waiting_rows() + size > LIMIT:
            self.until(task.done)
            error = task.exception()
            assert isinstance(error, QueueFull)
            assert (error.waiting, error.limit) == (self.waiting_rows(), LIMIT)
            return
        if not self.batch and max(size, self.last_rows) <= self.inline_rows:
            self.compute_inline(numbers, task)
            return
        self.queue.append(Asked(numbers, task, impatient))
        if not self.batch:
            self.take()

    def compute_inline(self, numbers, task):
        """The event loop computes it, without anybody's leave."""
        self.until(task.done)
        self.batches += 1
        assert self.predict.begun[-1] == numbers
        if POISON in numbers:
            assert isinstance(task.exception(), PredictFailed)
        else:
            assert task.result().tolist() == [[number, number**2] for number in numbers]
            self.last_rows = len(numbers)

    def waiting(self):
        """Requests that have no answer yet."""
        asked = [*self.queue, *(asked for asked, _ in self.batch if asked not in self.queue)]
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

    @precondition(lambda self: self.batch)
    @rule()
    def step(self):
        batch, self.batch = self.batch, []
        fails = any(POISON in numbers for _, numbers in batch)
        if fails and len(batch) > 1:
            self.predict.unguarded = len(batch)
        self.predict.allowed.release()
        if not fails:
            self.last_rows = sum(len(numbers) for _, numbers in batch)
        for asked, numbers in batch:
            asked.missing -= len(numbers)
            if fails and POISON not in numbers:
                self.last_rows = len(numbers)
            if POISON in numbers:
                self.leave(asked)
                if not asked.task.done():
                    self.until(asked.task.done)
                    assert isinstance(asked.task.exception(), PredictFailed)
            elif not asked.missing and not asked.task.done():
                self.until(asked.task.done)
                assert asked.task.result().tolist() == [[number, number**2] for number in asked.numbers]
        self.take()

    @invariant()
    def as_many_rows_wait_as_in_the_model(self):
        assert self.batcher.waiting_rows == self.waiting_rows()

    @invariant()
    def who_waits_has_no_answer(self):
        assert not any(asked.task.done() for asked in self.queue)


class InlineMachine(EngineMachine):
    """As the service has it: a row that comes alone is computed on the event loop."""

    inline_rows = 1


@pytest.mark.parametrize("machine", [EngineMachine, InlineMachine])
def test_the_engine_does_what_the_model_does(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
