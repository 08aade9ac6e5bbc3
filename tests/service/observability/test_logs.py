"""Logs: JSON lines with the id of the request, and without pixels, keys or variables of tracebacks."""

import json
import logging
import re
import socket
import subprocess
import sys
import warnings

import httpx
import pytest

from service.observability.logs import EXTRA, formatter
from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.fake_service import fake_store
from tests.support.service_process import FAKE, start

pytestmark = pytest.mark.anyio
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OCTETS = {"Content-Type": "application/octet-stream"}


class Lines(logging.Handler):
    """Keeps what would have been written."""

    def __init__(self, *, for_people=False):
        super().__init__()
        self.setFormatter(formatter(for_people=for_people))
        self.written = []

    def emit(self, record):
        self.written.append(self.format(record))

    @property
    def events(self):
        return [json.loads(line) for line in self.written]


@pytest.fixture
def lines():
    """What is logged, at every level, as JSON."""
    handler, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def of_access(lines):
    return [event for event in lines.events if event["logger"] == "service.access"]


async def test_a_request_is_a_line_that_says_who_what_and_how_long(lines):
    async with client_of(app_with(FakePredictor(), log_level="info")) as client:
        headers = OCTETS | {"X-Request-Id": "mine", "traceparent": TRACEPARENT}
        await client.post("/predict", content=picture(7).tobytes(), headers=headers)
        await client.get("/models/lenet/versions/3")
    predicted, card = of_access(lines)
    assert list(predicted)[:3] == ["time", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", predicted.pop("time"))
    assert 0 < predicted.pop("duration_ms") < 10_000
    assert predicted == {
        "level": "info",
        "event": "request",
        "logger": "service.access",
        "request_id": "mine",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "model": "lenet",
        "version": 3,
    }
    assert (card["route"], card["status"]) == ("/models/{name}/versions/{version}", 200)
    assert "trace_id" not in card


async def test_without_level_info_requests_have_no_lines(lines):
    async with client_of(app_with(FakePredictor())) as client:
        await client.get("/healthz")
    assert of_access(lines) == []


async def test_a_share_of_the_requests_has_lines_and_every_failed_one(lines):
    predictor = FakePredictor()
    predictor.poison = 9
    async with client_of(app_with(predictor, log_level="info", access_log_share=0)) as client:
        for digit in (7, 9, 7):
            await client.post("/predict", content=picture(digit).tobytes(), headers=OCTETS)
    assert [event["status"] for event in of_access(lines)] == [500]
    async with client_of(app_with(FakePredictor(), log_level="info", access_log_share=0.5)) as client:
        for _ in range(200):
            await client.get("/healthz")
    assert 50 < len(of_access(lines)) < 150


async def test_what_goes_wrong_in_a_request_is_logged_with_its_id(lines):
    predictor = FakePredictor()
    predictor.poison = 9
    async with client_of(app_with(predictor)) as client:
        await client.post("/predict", content=picture(9).tobytes(), headers=OCTETS | {"X-Request-Id": "bad"})
    (event,) = [event for event in lines.events if event["level"] == "error"]
    assert event["request_id"] == "bad"
    assert "ValueError: poison: 9" in event["exception"]


async def test_neither_pixels_nor_keys_are_logged_whatever_happens(lines, tmp_path):
    """Numbers that stand nowhere else, in requests that are answered, refused and failed, at level debug."""
    mark, key = 173, "k3y-of-anna"
    pixels = picture(7)
    pixels[3:20, 3:20] = mark
    predictor = FakePredictor()
    keys = tmp_path / "keys"
    keys.write_text(f"anna {'0' * 64}\n")
    numbers = pixels.ravel().tolist()
    bodies = [
        {"pixels": numbers},
        {"pixels": numbers[:-1]},
        {"pixels": [*numbers[:-1], 1e9]},
        {"instances": [numbers] * 3},
    ]
    async with client_of(app_with(predictor, log_level="debug", keys_file=keys)) as client:
        for poison in (None, 7):
            predictor.poison = poison
            for body in bodies:
                await client.post("/predict", json=body, headers={"Authorization": f"Bearer {key}"})
            await client.post("/predict", content=pixels.tobytes(), headers=OCTETS)
        await client.post("/manage/reload", headers={"Authorization": f"Bearer {key}"})
    written = "\n".join(lines.written)
    assert len(of_access(lines)) == 11
    assert "poison" in written
    assert f"{mark}, {mark}" not in written
    assert f"{mark},{mark}" not in written
    assert f"{mark} {mark}" not in written
    assert "\\u00ad" * 2 not in written
    assert key not in written
    assert "0" * 64 not in written


def test_what_may_stand_in_a_line_is_a_list_without_bodies():
    assert EXTRA == ("method", "route", "status", "duration_ms", "model", "version")
    handler = Lines()
    record = logging.makeLogRecord({"name": "service", "msg": "x", "pixels": [1, 2, 3], "status": 200})
    handler.emit(record)
    assert handler.events[0]["status"] == 200
    assert "pixels" not in handler.events[0]


def test_people_read_a_line_without_the_variables_of_a_traceback():
    handler = Lines(for_people=True)
    pixels = [17317]
    try:
        raise ValueError("broken")  # noqa: TRY301
    except ValueError:
        record = logging.LogRecord("service", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    handler.emit(record)
    assert "it failed" in handler.written[0]
    assert "ValueError: broken" in handler.written[0]
    assert "17317" not in handler.written[0]
    assert pixels


async def test_people_read_a_request_as_a_sentence():
    handler, root = Lines(for_people=True), logging.getLogger()
    root.addHandler(handler)
    try:
        logging.getLogger("service.models").warning("lenet: version 3 answers")
        async with client_of(app_with(FakePredictor(), log_level="info")) as client:
            logging.getLogger("service.access").setLevel(logging.INFO)
            await client.post("/predict", content=picture(7).tobytes(), headers=OCTETS | {"X-Request-Id": "mine"})
            await client.get("/nothing", headers={"X-Request-Id": "mine", "traceparent": TRACEPARENT})
    finally:
        root.removeHandler(handler)
        logging.getLogger("service.access").setLevel(logging.NOTSET)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    shown = [re.sub(r"^\d\d:\d\d:\d\d", "12:00:00", re.sub(r"\d+\.\d ms", "1.0 ms", line)) for line in handler.written]
    assert shown == [
        "12:00:00 [warning] lenet: version 3 answers [service.models]",
        "12:00:00 [info] POST /predict: 200 by lenet 3 in 1.0 ms request_id=mine",
        f"12:00:00 [info] GET other: 404 in 1.0 ms request_id=mine trace_id={trace}",
    ]


@pytest.mark.parametrize("module", [FAKE, pytest.param("service", marks=pytest.mark.slow)])
def test_a_process_writes_json_to_stderr_and_nothing_but_its_announcement_to_stdout(request, tmp_path, module):
    store = fake_store(tmp_path) if module == FAKE else request.getfixturevalue("trained_store")
    options = ("--store", str(store.path), "--model", "tiny", "--port", "0")
    process = start(*options, module=module, DIGITS_LOG_LEVEL="debug")
    try:
        line = process.stdout.readline()
        url = re.fullmatch(r"tiny version 1 is ready at (\S+) \(\S+/docs\) after \S+ s\n", line)[1]
        httpx.get(f"{url}/healthz")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as rude:
            rude.sendall(b"this is no HTTP\r\n\r\n")
            assert rude.recv(20).startswith(b"HTTP/1.1 400")
        process.terminate()
        stdout, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert stdout == ""
    events = [json.loads(line) for line in stderr.splitlines()]
    assert {"time", "level", "event", "logger"} <= set.intersection(*map(set, events))
    assert {"service.access", "uvicorn.error"} <= {event["logger"] for event in events}


def test_warnings_and_uncaught_exceptions_are_lines_too():
    code = """
import threading, warnings
from service.observability.logs import configure_logs
configure_logs("warning", "json")
warnings.warn("beware")
def fail(): raise ValueError("in a thread")
thread = threading.Thread(target=fail); thread.start(); thread.join()
raise ValueError("at the end")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in run.stderr.splitlines()]
    assert run.returncode == 1
    assert "beware" in events[0]["event"]
    assert [event["exception"].splitlines()[-1] for event in events[1:]] == [
        "ValueError: in a thread",
        "ValueError: at the end",
    ]


def test_nothing_of_this_changes_how_the_tests_take_warnings():
    with pytest.raises(UserWarning, match="x"):
        warnings.warn("x", stacklevel=1)
