"""The thread of the store: deadlines, abandoned calls, and errors that are no deadlines."""

import asyncio
import errno
import threading

import pytest

from service.models.store_thread import StoreThread, StoreTimeout

pytestmark = pytest.mark.anyio


@pytest.fixture
async def thread():
    thread = StoreThread(0.2)
    yield thread
    thread.close()


async def test_calls_run_on_one_other_thread(thread):
    threads = {await thread.call(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_an_error_of_the_store_is_passed_on_even_if_it_is_called_a_timeout(thread):
    """What NFS says when it gives up is a TimeoutError to Python, as the end of a deadline is."""

    def give_up():
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(TimeoutError, match="Connection timed out"):
        await thread.call(give_up)
    assert await thread.call(lambda: 7) == 7


async def test_while_an_abandoned_call_goes_on_others_fail_at_once_and_then_work_again(thread):
    go_on, discarded = threading.Event(), []
    with pytest.raises(StoreTimeout, match=r"^the store has not answered in 0\.2 s$"):
        await thread.call(lambda: go_on.wait(60), discarded.append)
    async with asyncio.timeout(0.1):
        with pytest.raises(StoreTimeout):
            await thread.call(lambda: 7)
    go_on.set()
    async with asyncio.timeout(5):
        while not discarded:
            await asyncio.sleep(0.001)
    assert discarded == [True]
    assert await thread.call(lambda: 7) == 7


async def test_a_call_that_is_cancelled_counts_as_abandoned(thread):
    go_on, began = threading.Event(), threading.Event()

    def hang():
        began.set()
        go_on.wait(60)
        raise ValueError("nobody reads this")

    calling = asyncio.create_task(thread.call(hang))
    while not began.is_set():
        await asyncio.sleep(0.001)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    with pytest.raises(StoreTimeout):
        await thread.call(lambda: 7)
    go_on.set()
