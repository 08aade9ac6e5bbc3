"""The queue of rows: which rows are in which batch, and how many batches a request waits for at most."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.row_queue import Request, RowQueue
from tests.support.examples import examples

BATCH = 8


class Queue:
    """A queue, and its batches as lists of (name of the request, number of rows)."""

    def __init__(self, loop):
        self.loop, self.rows, self.names = loop, RowQueue(), {}

    def append(self, name, size):
        request = Request(np.zeros((size, 1)), self.loop)
        self.names[request] = name
        self.rows.append(request)
        return request

    def take(self, room=BATCH):
        return [(self.names[part.request], part.stop - part.start) for part in self.rows.take(room)]


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def queue(loop):
    return Queue(loop)


def test_a_row_that_comes_behind_thousands_is_in_the_next_batch(queue):
    queue.append("long", 4096)
    assert queue.take() == [("long", 8)]
    queue.append("row", 1)
    assert queue.take() == [("long", 7), ("row", 1)]


def test_a_long_request_has_half_of_each_batch_however_many_rows_come_behind_it(queue):
    queue.append("long", 16)
    taken = 0
    while taken < 16:
        for n in range(BATCH):
            queue.append(n, 1)
        (name, rows), *others = queue.take()
        assert (name, rows, len(others)) == ("long", 4, 4)
        taken += rows
    assert queue.take() == [(n, 1) for n in (0, 1, 2, 3, 4, 5, 6, 7)]


def test_a_middling_request_shares_the_batches_with_a_longer_one_that_was_first(queue):
    queue.append("long", 4096)
    queue.append("middling", 12)
    assert [queue.take() for _ in range(4)] == [[("long", 4), ("middling", 4)]] * 3 + [[("long", 8)]]


def test_of_requests_of_about_the_same_size_one_is_finished_after_the_other(queue):
    """If they took turns, the first would be finished as late as the last."""
    queue.append("first", 12)
    queue.append("second", 8)
    assert [queue.take() for _ in range(3)] == [[("first", 8)], [("first", 4), ("second", 4)], [("second", 4)]]


def test_whoever_leaves_is_in_no_batch_by_age_nor_by_size(queue):
    leaves = queue.append("leaves", 20)
    queue.take(2)
    queue.append("stays", 2)
    cancelled = queue.append("cancelled", 1)
    queue.rows.leave(leaves)
    cancelled.future.cancel()
    assert queue.rows.rows == 3
    assert queue.take() == [("stays", 2)]
    assert queue.rows.rows == 0
    assert queue.take() == []


def test_a_cleared_queue_is_empty_by_age_and_by_size(queue):
    requests = [queue.append(n, n) for n in (20, 1, 3)]
    assert queue.rows.clear() == requests
    assert queue.rows.rows == 0
    assert queue.take() == []


@settings(deadline=None, max_examples=examples(200))
@given(st.lists(st.lists(st.integers(1, 70), max_size=4), max_size=30), st.integers(1, 9))
def test_no_request_waits_for_more_than_twice_as_many_batches_as_in_order_of_arrival(loop, arrivals, room):
    """Before each batch, requests of these sizes come."""
    queue, latest, taken, batches = Queue(loop), {}, {}, 0
    while arrivals or queue.rows.rows:
        for size in arrivals.pop(0) if arrivals else ():
            name = len(latest), size
            queue.append(name, size)
            latest[name] = batches + math.ceil(queue.rows.rows / math.ceil(room / 2))
        waiting = queue.rows.rows
        batch = queue.take(room)
        batches += 1
        assert len({name for name, _ in batch}) == len(batch)
        assert sum(rows for _, rows in batch) == min(room, waiting)
        for name, rows in batch:
            taken[name] = taken.get(name, 0) + rows
            assert batches <= latest[name]
    assert taken == {name: name[1] for name in latest}
