"""`python -m service` as a process of its own: options, error lines, readiness, signals."""

import errno
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from service.__main__ import app
from service.protocols.native.examples import SEVEN, drawn
from service.server.worker import _end_at_last, run_worker
from service.settings import ServiceSettings
from tests.support.fake_service import fake_store
from tests.support.service_process import FAKE, outcome, start
from tests.support.waiting import eventually
from training.errors import DigitsError


def test_a_store_without_the_model_is_one_line_that_says_what_to_do(tmp_path):
    assert outcome("--store", str(tmp_path), "--port", "0") == (
        1,
        f"error: there is no model 'lenet' in the store {tmp_path}; it holds no model at all; "
        "to train and publish one: python -m training fit lenet --quick\n",
    )


def test_a_model_that_is_misspelt_is_not_said_to_be_trained_by_its_name(tmp_path, monkeypatch):
    """`python -m training fit lenett --quick` was advised, which is refused: there is no such network."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    settings = ServiceSettings(store=str(fake_store(tmp_path).path), model="tinny")
    with socket.socket() as listener, pytest.raises(DigitsError) as caught:
        run_worker(settings, print, listener=listener)
    assert str(caught.value) == (
        f"there is no model 'tinny' in the store {tmp_path}; it holds tiny; did you mean tiny?; "
        "to train and publish one: python -m training fit tinny --layers FILE"
    )


def test_a_port_in_use_is_one_line_that_says_what_to_do(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert outcome(DIGITS_STORE=str(tmp_path), DIGITS_PORT=str(port)) == (
            1,
            f"error: port {port} of 127.0.0.1 is in use; choose another with --port, or --port 0 for any free one\n",
        )


def test_a_port_that_is_taken_while_workers_load_is_one_line_too(monkeypatch, tmp_path):
    def find_it_taken(*_):
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr("service.server.supervisor.run_supervisor", find_it_taken)
    monkeypatch.setattr("service.observability.logs.configure_logs", lambda *_: None)
    result = CliRunner().invoke(app, ["--store", str(tmp_path), "--port", "0", "--workers", "2"])
    assert result.exit_code == 1
    assert result.output == (
        "error: port 0 of 127.0.0.1 is in use; choose another with --port, or --port 0 for any free one\n"
    )


def test_a_store_that_cannot_be_read_is_not_blamed_on_the_port(tmp_path, monkeypatch):
    def load(settings, metrics):
        raise OSError("the disk is gone")

    monkeypatch.setattr("service.models.loader.Loader", load)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    settings = ServiceSettings(store=str(fake_store(tmp_path).path), model="tiny")
    with socket.socket() as listener, pytest.raises(DigitsError, match=r"^the disk is gone$"):
        run_worker(settings, print, listener=listener)


def test_a_setting_that_is_wrong_is_one_line_that_names_it():
    code, stderr = outcome(DIGITS_DRAIN_TIMEOUT_S="soon")
    assert code == 1
    assert stderr.startswith("error: DIGITS_DRAIN_TIMEOUT_S is 'soon': Input should be a valid integer")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "meant"), [("DIGITS_PORTT", "DIGITS_PORT"), ("DIGITS_REQUIRED_KEY", "DIGITS_REQUIRE_KEY")]
)
def test_a_setting_that_is_misspelt_is_one_line_with_the_one_that_is_meant(variable, meant):
    assert outcome(**{variable: "1"}) == (1, f"error: {variable} is no setting, want {meant}\n")


def test_another_variable_that_looks_like_a_setting_is_told_and_no_error(tmp_path):
    code, stderr = outcome("--store", str(tmp_path), "--port", "0", DIGITS_COLOUR="red", DIGITS_GATE_ALPHA="0.1")
    warning, error = stderr.splitlines()
    assert (code, json.loads(warning)["event"]) == (1, "DIGITS_COLOUR is no setting, and has no effect")
    assert error.startswith("error: there is no model 'lenet'")


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("https://example.org/store", "store 'https://…': want a folder, s3://, gs:// or az://"),
        (
            "s3://digits/store",
            "s3://digits/store/tiny is not available: nobody listens at the endpoint (connection refused)",
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(store, reason):
    keys = {"AWS_ACCESS_KEY_ID": "anna", "AWS_SECRET_ACCESS_KEY": "secret"}
    code, stderr = outcome("--store", store, "--model", "tiny", AWS_ENDPOINT_URL="http://127.0.0.1:9", **keys)
    assert (code, stderr) == (1, f"error: {reason}\n")


def test_it_says_when_it_is_ready_and_answers_and_stops_with_0(trained_store):
    process = start("--store", str(trained_store.path), "--model", "tiny", "--port", "0")
    try:
        line = process.stdout.readline()
        pattern = r"tiny version 1 is ready at (http://127\.0\.0\.1:\d+) \(\1/docs\) after \d+\.\d s\n"
        match = re.fullmatch(pattern, line)
        assert match, line + process.stderr.read()
        with httpx.Client(base_url=match[1]) as client:
            assert client.get("/readyz").json() == {"status": "ready"}
            answer = client.post("/predict", json={"pixels": drawn(SEVEN).tolist()}).json()
            assert answer["model"] == {"name": "tiny", "version": 1}
            assert answer["confidence"] == max(answer["probabilities"]) == answer["probabilities"][answer["digit"]]
            card = client.get("/models/tiny/versions/champion").json()["card"]
            assert card["recipe"]["epochs"] == trained_store.card("tiny", 1).recipe.epochs
            process.terminate()
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_it_with_0_too(tmp_path):
    process = start("--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0", module=FAKE)
    try:
        url = re.search(r"ready at (\S+)", process.stdout.readline())[1]
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def catches_sigterm(process):
    """Whether the process has got so far; before, SIGTERM ends any program."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)[1], 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.parametrize("delay_s", [0, 0.2, 0.4, 0.6, 1.0, 1.3])
def test_sigterm_while_loading_ends_it_at_once_with_0(trained_store, delay_s):
    """An exception raised by the handler once ended in a callback of JAX, and the service went on to serve."""
    process = start("--store", str(trained_store.path), "--model", "tiny", "--port", "0")
    eventually(lambda: catches_sigterm(process), 30)
    time.sleep(delay_s)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_though_the_store_hangs_before_anything_is_loaded(tmp_path, stop):
    process = start("--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0")
    try:
        with hanging(tmp_path / "tiny" / "aliases.json"):
            process.send_signal(stop)
            assert process.communicate(timeout=10) == ("", "")
            assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_store_that_hangs_delays_neither_answers_nor_the_end(tmp_path):
    """The process ended when the store answered: never."""
    process = start(
        *("--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0"),
        module=FAKE,
        DIGITS_POLL_INTERVAL_S="0.1",
    )
    try:
        url = re.search(r"ready at (\S+)", process.stdout.readline())[1]
        with hanging(tmp_path / "tiny" / "aliases.json"):
            assert httpx.get(f"{url}/models").json()["models"][0]["version"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=20) == ("", "")
            assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@contextmanager
def hanging(path):
    """Makes reading a file hang, as on a network file system; the block begins when somebody does."""
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    fifo.replace(path)
    opened = []

    def somebody_reads():
        with suppress(OSError):  # nobody has opened it for reading
            opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return opened

    eventually(somebody_reads, 60)
    try:
        yield
    finally:
        os.close(opened[0])


BEFORE_IT_SERVES = """
def run(self, sockets, run=DrainingServer.run):
    os.kill(os.getpid(), signal.SIGTERM)
    run(self, sockets)

DrainingServer.run = run
"""
"""The signal was ignored: the event loop was being made, and the server did not handle signals yet."""
WITH_A_THREAD_THAT_NEVER_ENDS = """
async def startup(self, sockets, startup=DrainingServer.startup):
    await startup(self, sockets)
    threading.Thread(target=time.sleep, args=[3600]).start()
    os.kill(os.getpid(), signal.SIGTERM)

DrainingServer.startup = startup
"""
"""Python waits for it, as it does for the threads of executors."""


@pytest.mark.parametrize("change", [BEFORE_IT_SERVES, WITH_A_THREAD_THAT_NEVER_ENDS])
def test_a_signal_is_obeyed(tmp_path, change):
    code = f"""
import os, signal, threading, time
from service.server.draining_server import DrainingServer
from tests.support.fake_service import app, use_fake_networks
{change}
use_fake_networks()
app(["--store", {str(fake_store(tmp_path).path)!r}, "--model", "tiny", "--port", "0"])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, stderr = process.communicate(timeout=30)
        assert (process.returncode, stderr) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_the_kernel_ends_a_service_that_does_not_end_after_its_drain():
    try:
        _end_at_last(ServiceSettings(drain_pause_s=100, drain_timeout_s=200))
        assert 300 < signal.getitimer(signal.ITIMER_REAL)[0] <= 308
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    finally:
        signal.alarm(0)


def test_a_second_sigterm_ends_it_at_once(tmp_path):
    options = ("--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0")
    process = start(*options, module=FAKE, DIGITS_DRAIN_PAUSE_S="60")
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=5) == ("", "")  # no traceback of what was cancelled
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_terminal_that_is_closed_ends_the_service_that_was_started_in_it(tmp_path):
    """SIGHUP means two things; whoever closes a window does not mean "load what is new"."""
    terminal, its = pty.openpty()
    command = [sys.executable, "-m", FAKE, "--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0"]
    process = subprocess.Popen(["setsid", "--ctty", *command], stdin=its, stdout=subprocess.PIPE, text=True)
    os.close(its)
    try:
        assert "is ready at" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None, "with its terminal it only looks at the store"
        os.close(terminal)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
