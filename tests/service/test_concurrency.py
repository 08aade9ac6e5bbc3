"""The thread pool: a few daemon threads, work that is cancelled at the end, and a limit of waiting work."""

import threading
from queue import Full

import pytest

from service.concurrency import ThreadPool
from tests.support.waiting import eventually


def test_work_that_waits_is_cancelled_at_the_end_and_the_threads_end():
    gate, begun = threading.Event(), threading.Event()
    pool = ThreadPool(2, 8, "a test")

    def work():
        begun.set()
        return gate.wait(10)

    running = [pool.submit(work) for _ in range(2)]
    assert begun.wait(10)
    eventually(lambda: all(future.running() for future in running))
    waiting = pool.submit(work)
    pool.close()
    assert waiting.cancelled()
    gate.set()
    assert [future.result(10) for future in running] == [True, True]
    eventually(lambda: not any(thread.name == "a test" for thread in threading.enumerate()))


def test_what_work_raises_comes_back_and_the_thread_goes_on():
    pool = ThreadPool(1, 8, "a test")
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(10)
    assert pool.submit(lambda: 5).result(10) == 5
    pool.close()


def test_more_than_may_wait_is_refused():
    gate, begun = threading.Event(), threading.Event()
    pool = ThreadPool(1, 2, "a test")
    first = pool.submit(lambda: (begun.set(), gate.wait(10)))
    assert begun.wait(10)
    waiting = [pool.submit(lambda: 5) for _ in range(2)]
    assert pool.full
    with pytest.raises(Full):
        pool.submit(lambda: 5)
    gate.set()
    assert [future.result(10) for future in [first, *waiting]] == [(None, True), 5, 5]
    pool.close()
