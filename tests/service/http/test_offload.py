"""Work off the event loop: limits of what waits, deadlines, kinds that wait only for their own, the helper process."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from service.engine.errors import DeadlineExceeded
from service.errors import NotReady, TooLarge, WrongValue
from service.http.offload import (
    BODIES,
    INLINE_BYTES,
    INLINE_ROWS,
    LARGE_PICTURES,
    LIMIT_RECEIVING_BYTES,
    LIMIT_WAITING_BYTES,
    SMALL_PICTURES,
    Offload,
)
from service.protocols.native.request import decode_json
from tests.support.waiting import eventually

PADDED = b'{"pixels": [%s]%s}'
GOOD = PADDED % (b",".join([b"7"] * 784), b" " * INLINE_BYTES)
decode = partial(decode_json, limit_rows=4)


@pytest.fixture
async def offload():
    offload = Offload(limit_waiting=1)
    yield offload
    offload.close()


@pytest.fixture
def gate():
    """Work that waits for it ends with the test."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.mark.anyio
async def test_work_waits_for_threads_not_without_limit_and_not_for_ever(offload, gate):
    """Slow work holds up neither the event loop nor whoever says how long to wait."""
    started = threading.Event()

    def slow():
        started.set()
        return gate.wait(20)

    def ask(patience_s):
        return asyncio.create_task(offload.run(LARGE_PICTURES, slow, 100, time.monotonic() + patience_s))

    first = ask(20)
    await asyncio.to_thread(started.wait, 20)
    second = ask(0.05)
    await asyncio.sleep(0)
    with pytest.raises(
        NotReady, match=r"^1 large pictures wait to be decoded, and that is the limit; try again later$"
    ):
        await ask(20)
    with pytest.raises(DeadlineExceeded):
        await second
    assert await offload.run(SMALL_PICTURES, lambda: 5, 100) == 5, "another kind does not wait"
    gate.set()
    assert await first


@pytest.mark.anyio
async def test_bodies_that_are_still_worked_on_count_after_their_deadline(offload, gate):
    size = LIMIT_WAITING_BYTES // 2 + 1
    with pytest.raises(DeadlineExceeded):
        await offload.run(BODIES, lambda: gate.wait(20), size, time.monotonic() + 0.05)
    with pytest.raises(NotReady, match=f"^{size} bytes of large bodies wait"):
        await offload.run(BODIES, lambda: 5, size)
    gate.set()
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if not offload._waiting_bytes[BODIES]:
            break
    assert await offload.run(BODIES, lambda: 5, size) == 5


@pytest.mark.anyio
async def test_large_json_is_decoded_in_another_process_with_the_same_errors(offload):
    images, many = await offload.decode_json(decode, GOOD)
    assert (images == 7).all()
    assert not many
    with pytest.raises(WrongValue) as caught:
        await offload.decode_json(decode, GOOD.replace(b"7", b"700", 1))
    error = caught.value
    assert (error.code, error.field, error.found, error.wanted) == (
        "out_of_range",
        "pixels[0]",
        "700",
        "a number from 0 to 255",
    )
    assert str(error) == "pixels[0] is 700, want a number from 0 to 255"


@pytest.mark.anyio
async def test_a_helper_that_is_killed_costs_one_answer(offload):
    await offload.decode_json(decode, GOOD)
    helper = offload._helper._process
    os.kill(helper.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(offload.decode_json(decode, GOOD))
    await asyncio.sleep(0.1)
    os.kill(helper.pid, signal.SIGKILL)
    with pytest.raises(NotReady, match="has ended; try again"):
        await waiting
    assert (await offload.decode_json(decode, GOOD)).images.shape == (1, 28, 28)


@pytest.mark.anyio
async def test_a_helper_that_stands_still_is_killed(offload):
    await offload.decode_json(decode, GOOD)
    offload._helper._timeout_s = 0.5
    os.kill(offload._helper._process.pid, signal.SIGSTOP)
    with pytest.raises(NotReady, match="has ended; try again"):
        await offload.decode_json(decode, GOOD)
    offload._helper._timeout_s = 20
    assert (await offload.decode_json(decode, GOOD)).images.shape == (1, 28, 28)


@pytest.mark.anyio
async def test_a_helper_that_cannot_be_started_is_no_failure(offload, monkeypatch):
    monkeypatch.setattr("service.helper_process.subprocess.Popen", lambda *_, **__: Path("/nothing").read_bytes())
    with pytest.raises(NotReady, match="has ended; try again"):
        await offload.decode_json(decode, GOOD)


@pytest.mark.anyio
async def test_bodies_that_are_being_received_are_limited_together(offload):
    """Unfinished bodies of 24 connections once took 400 MB."""
    offload.receive(LIMIT_RECEIVING_BYTES)
    with pytest.raises(NotReady, match="too many bytes of bodies are being received"):
        offload.receive(1)
    offload.received(LIMIT_RECEIVING_BYTES)
    offload.receive(1)


@pytest.mark.anyio
async def test_a_helper_that_has_taken_much_memory_gives_it_back(offload):
    numbers = b",".join([b"0.123456789"] * 784)
    body = b'{"scale":1,"instances":[%s]}' % b",".join([b"[%s]" % numbers] * 1800)
    images, _ = await offload.decode_json(partial(decode_json, limit_rows=4096), body)
    assert images.shape == (1800, 28, 28)
    helper = offload._helper._process
    assert (await offload.decode_json(decode, GOOD)).images.shape == (1, 28, 28)
    assert offload._helper._process is not helper or helper.poll() is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("values", "name"),
    [(b'{"a":1},', "objects"), (b"[],", "lists"), (b"1,", "values")],
    ids=["objects", "lists", "values"],
)
async def test_values_are_counted_before_they_are_parsed(offload, values, name):
    """16 KB of gzip once stopped the event loop for two seconds and took 480 MB."""
    body = b'{"instances": [%s1]}' % (values * 10**6)
    with pytest.raises(TooLarge, match=rf"^the body has 100000\d {name}, want at most \d+ for 4 pictures$"):
        await offload.decode_json(decode, body)


@pytest.mark.anyio
@pytest.mark.parametrize(("rows", "inline"), [(INLINE_ROWS, True), (INLINE_ROWS + 1, False)])
async def test_responses_of_many_answers_are_encoded_on_a_thread(offload, rows, inline):
    """The classes of 4,096 pictures, as texts, once held the event loop for 100 ms."""
    thread = await offload.encode(threading.get_ident, rows, time.monotonic() + 20)
    assert (thread == threading.get_ident()) == inline


def test_the_helper_ends_with_the_process_that_started_it():
    code = (
        "import os\n"
        "from service.helper_process import HelperProcess\n"
        "helper = HelperProcess()\n"
        "print(helper.run(len, b'abc'), helper._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    length, pid = map(int, said.split())
    assert length == 3
    eventually(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())
