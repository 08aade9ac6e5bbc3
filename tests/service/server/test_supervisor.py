"""The supervisor: restarts, signals and the sharing out of connections; what real workers share."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.server.worker_process import share
from tests.support.fake_service import fake_store
from tests.support.keys import AUTHORIZATION
from tests.support.service_process import FAKE, gone, running, running_plain, start_plain, workers_of
from tests.support.variants import publish_variant
from tests.support.waiting import eventually
from training.store import Store

PATIENCE_S = 60
STEP_S = 0.1
"""Between two looks that are work for the service or for this process."""
ESTABLISHED = "01"
"""Of /proc/net/tcp."""


def next_said(process):
    """What the next line on stderr says: the event of a line of JSON, or a line that is none."""
    line = process.stderr.readline()
    return json.loads(line)["event"] if line.startswith("{") else line.rstrip("\n")


def address_of(url):
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def asked(url):
    """The process id of the worker that answers on a new connection, and how often it was told to poll the store."""
    with socket.create_connection(address_of(url), timeout=PATIENCE_S) as connection:
        return asked_on(connection)


def asked_on(connection, path="/"):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return answer_on(connection)


def answer_on(connection):
    answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    pid, polls = answer.partition(b"\r\n\r\n")[2].split()
    return int(pid), int(polls)


def answering(url):
    """The process ids of the workers that answer two connections, which are shared out to two of them."""
    with ExitStack() as stack:
        both = [stack.enter_context(socket.create_connection(address_of(url), timeout=PATIENCE_S)) for _ in range(2)]
        return {asked_on(connection)[0] for connection in both}


@pytest.fixture
def plain(tmp_path):
    """A parent of two plain workers, which obey `tmp_path`, and its URL."""
    with running_plain(tmp_path) as (process, url):
        yield process, url


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_all_answer_and_end_with_the_parent(plain, stop):
    process, url = plain
    workers = workers_of(process)
    assert len(workers) == 2
    assert {asked(url)[0] for _ in range(4)} == {*workers}
    process.send_signal(stop)
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0
    assert all(map(gone, workers))


def test_a_second_sigterm_ends_them_all_at_once_and_in_silence(tmp_path):
    with running_plain(tmp_path, drain_pause_s=60) as (process, _):
        workers = workers_of(process)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0
        assert all(map(gone, workers))


def test_connections_are_dealt_out_evenly(plain):
    """From a common socket, one worker once took nearly all that came at once."""
    _, url = plain
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(address_of(url))) for _ in range(21)]
        takers = [asked_on(connection)[0] for connection in opened]
        assert sorted(map(takers.count, {*takers})) == [10, 11]


def test_all_are_told_to_poll_the_store(plain):
    process, url = plain
    process.send_signal(signal.SIGHUP)
    eventually(lambda: {asked(url)[1] for _ in range(4)} == {1}, PATIENCE_S, STEP_S)


def test_whoever_dies_while_it_loads_is_replaced_too(plain, tmp_path):
    """It once ended the whole service, though the other worker was well."""
    process, url = plain
    victim, healthy = workers_of(process)
    (tmp_path / "fail").write_text("there is no model")
    os.kill(victim, signal.SIGKILL)
    assert next_said(process) == f"worker {victim} has ended with -9: replaced"
    for pause_s in (1, 2):  # by itself: it says why, and the next one waits, and longer every time
        assert next_said(process) == "error: there is no model"
        line = next_said(process)
        assert re.fullmatch(rf"worker \d+ has ended with 1 while it loaded: replaced in {pause_s} s", line)
        waiting_s = time.monotonic()
        assert workers_of(process) == [healthy]
        assert asked(url)[0] == healthy
        if pause_s == 2:
            (tmp_path / "fail").unlink()
            (tmp_path / "hold").touch()
        eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)
        assert pause_s - 0.5 < time.monotonic() - waiting_s < pause_s + 5
    (loading,) = {*workers_of(process)} - {healthy}
    os.kill(loading, signal.SIGKILL)  # by a signal: the next one comes at once
    assert next_said(process) == f"worker {loading} has ended with -9 while it loaded: replaced"
    (tmp_path / "hold").unlink()
    eventually(lambda: answering(url) == {*workers_of(process)}, PATIENCE_S, STEP_S)
    assert len(workers_of(process)) == 2
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0


def test_a_worker_that_cannot_be_started_is_started_later(plain, tmp_path):
    """Where a container has as many processes as it may have, it ended the whole service."""
    process, url = plain
    victim, other = workers_of(process)
    (tmp_path / "no-process").touch()
    os.kill(victim, signal.SIGKILL)
    assert next_said(process) == f"worker {victim} has ended with -9: replaced"
    for pause_s in (1, 2):
        reason = "[Errno 11] Resource temporarily unavailable"
        assert next_said(process) == f"a worker cannot be started: {reason}; again in {pause_s} s"
        assert asked(url)[0] == other
    (tmp_path / "no-process").unlink()
    eventually(lambda: len(answering(url)) == 2, PATIENCE_S, STEP_S)


def test_sigterm_ends_it_while_nobody_is_there_to_be_told(plain, tmp_path):
    process, _ = plain
    (tmp_path / "fail").write_text("there is no model")
    for worker in workers_of(process):
        os.kill(worker, signal.SIGKILL)
    said = [process.stderr.readline() for _ in range(10)]  # for each: killed, why, failed; and again: why, failed
    assert sum("replaced in 2 s" in line for line in said) == 2
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=1.5) == ("", "")
    assert process.returncode == 0


def test_a_worker_that_is_stopped_is_killed_and_replaced_and_its_connections_are_answered(tmp_path):
    """It got every second connection, for ever."""
    with running_plain(tmp_path, heartbeat_timeout_s=3) as (process, url):
        stopped, other = workers_of(process)
        os.kill(stopped, signal.SIGSTOP)
        with ExitStack() as stack:
            asking = [stack.enter_context(socket.create_connection(address_of(url), PATIENCE_S)) for _ in range(6)]
            for connection in asking:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert next_said(process) == f"worker {stopped} is stopped: killed and replaced"
            answered = [answer_on(connection)[0] for connection in asking]
        assert stopped not in answered
        assert answered.count(other) >= 3
        eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)
        assert other in workers_of(process)
        assert stopped not in workers_of(process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0


def test_a_worker_that_hangs_is_replaced_and_killed_when_the_drain_time_is_over(tmp_path):
    with running_plain(tmp_path, heartbeat_timeout_s=2, drain_timeout_s=0, LATE_END_GRACE_S=3) as (process, url):
        workers = workers_of(process)
        with socket.create_connection(address_of(url), PATIENCE_S) as connection:
            connection.sendall(b"GET /hang HTTP/1.1\r\n\r\n")
            line = next_said(process)
            hanging = int(re.fullmatch(r"worker (\d+) has sent no heartbeat for \d s: replaced", line)[1])
            assert hanging in workers
            eventually(lambda: answering(url).isdisjoint({hanging}) and len(answering(url)) == 2, PATIENCE_S, STEP_S)
            assert next_said(process) == f"worker {hanging} has not ended in time: killed"
            assert connection.recv(1) == b""
        eventually(lambda: gone(hanging), PATIENCE_S)
        assert len(workers_of(process)) == 2


def test_a_worker_that_comes_back_to_life_answers_what_it_has_received_and_ends(tmp_path):
    """What it has not received is answered by others, and nothing is answered twice."""
    with running_plain(tmp_path, heartbeat_timeout_s=3) as (process, url):
        with ExitStack() as stack:
            opened = [stack.enter_context(socket.create_connection(address_of(url), PATIENCE_S)) for _ in range(2)]
            of_worker = {asked_on(connection)[0]: connection for connection in opened}
            stalls, other = [*of_worker]
            of_worker[stalls].sendall(b"GET /stall HTTP/1.1\r\n\r\n")  # its event loop is blocked
            line = next_said(process)
            assert re.fullmatch(rf"worker {stalls} has sent no heartbeat for \d s: replaced", line)
            (tmp_path / "go-on").touch()
            assert answer_on(of_worker[stalls])[0] == stalls
            assert of_worker[stalls].recv(1) == b"", "once"
            eventually(lambda: gone(stalls), PATIENCE_S)
            assert asked_on(of_worker[other])[0] == other
        assert len(workers_of(process)) == 2
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0


def test_a_worker_that_hangs_while_it_loads_is_replaced_too(tmp_path):
    with running_plain(tmp_path, LOADING_TIMEOUT_S=3) as (process, url):
        victim, other = workers_of(process)
        (tmp_path / "hold").touch()
        os.kill(victim, signal.SIGKILL)
        assert next_said(process) == f"worker {victim} has ended with -9: replaced"
        line = next_said(process)
        hanging = int(re.fullmatch(r"worker (\d+) has sent no heartbeat for \d s: replaced", line)[1])
        assert hanging not in (victim, other)
        (tmp_path / "hold").unlink()
        eventually(lambda: len(answering(url)) == 2, PATIENCE_S, STEP_S)
        assert gone(hanging)


def test_a_worker_that_is_stopped_while_it_loads_is_replaced_sooner(tmp_path):
    with running_plain(tmp_path, heartbeat_timeout_s=1) as (process, url):
        victim, other = workers_of(process)
        (tmp_path / "hold").touch()
        os.kill(victim, signal.SIGKILL)
        assert next_said(process) == f"worker {victim} has ended with -9: replaced"
        eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)
        (loading,) = {*workers_of(process)} - {other}
        os.kill(loading, signal.SIGSTOP)
        assert next_said(process) == f"worker {loading} is stopped: killed and replaced"
        (tmp_path / "hold").unlink()
        eventually(lambda: len(answering(url)) == 2, PATIENCE_S, STEP_S)


def test_sigterm_ends_the_service_though_a_worker_does_not_end(tmp_path):
    with running_plain(tmp_path, drain_timeout_s=0, LATE_END_GRACE_S=3) as (process, _):
        stopped, _ = workers_of(process)
        os.kill(stopped, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, stdout, stderr) == (1, "", f"worker {stopped} has not ended in time: killed\n")
        assert gone(stopped)


def test_nobody_is_replaced_after_all_have_been_stopped_for_a_while(tmp_path):
    """As a container is that is paused, or a machine that sleeps."""
    with running_plain(tmp_path, heartbeat_timeout_s=3) as (process, url):
        workers = workers_of(process)
        for pid in (process.pid, *workers):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert answering(url) == {*workers}
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")


def test_while_no_worker_is_ready_connections_wait(plain, tmp_path):
    """The parent accepted and closed them: an empty answer, within a millisecond."""
    process, url = plain
    (tmp_path / "hold").touch()
    dead = {*workers_of(process)}
    for worker in dead:
        os.kill(worker, signal.SIGKILL)
    assert {next_said(process) for _ in dead} == {f"worker {worker} has ended with -9: replaced" for worker in dead}
    with ExitStack() as stack:
        asking = [stack.enter_context(socket.create_connection(address_of(url), PATIENCE_S)) for _ in range(6)]
        for connection in asking:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        used_s = processor_time_s(process.pid)
        time.sleep(1)
        assert processor_time_s(process.pid) - used_s < 0.3, "it waits, and does not ask again and again"
        (tmp_path / "hold").unlink()
        assert dead.isdisjoint(answer_on(connection)[0] for connection in asking)


def processor_time_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_while_the_channels_of_all_workers_are_full_connections_wait(plain, tmp_path):
    process, url = plain
    (tmp_path / "full").touch()
    with ExitStack() as stack:
        asking = []
        for _ in range(1000):  # channels have room for fewer
            asking.append(stack.enter_context(socket.create_connection(address_of(url), PATIENCE_S)))
            asking[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")
        used_s = processor_time_s(process.pid)
        time.sleep(1)
        assert processor_time_s(process.pid) - used_s < 0.3, "it waits, and does not ask again and again"
        (tmp_path / "full").unlink()
        assert {answer_on(connection)[0] for connection in asking} == {*workers_of(process)}


def test_nobody_outlives_a_parent_that_is_killed(plain):
    process, _ = plain
    workers = workers_of(process)
    process.kill()
    eventually(lambda: all(map(gone, workers)), PATIENCE_S, STEP_S)


def test_who_cannot_start_says_why_once_and_ends_them_all(tmp_path):
    (tmp_path / "fail").write_text("there is no model")
    process = start_plain(tmp_path)
    assert process.communicate(timeout=PATIENCE_S) == ("", "error: there is no model\n")
    assert process.returncode == 1


def test_a_port_that_another_program_takes_while_they_load_is_an_error(tmp_path):
    (tmp_path / "hold").touch()
    with socket.socket() as quicker:
        quicker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        quicker.bind(("127.0.0.1", 0))
        process = start_plain(tmp_path, quicker.getsockname()[1])
        eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)  # so it has bound the port
        quicker.listen()
        (tmp_path / "hold").unlink()
        assert process.communicate(timeout=PATIENCE_S) == ("", "error: [Errno 98] Address already in use\n")
        assert process.returncode == 1


def test_sigterm_while_they_load_ends_them_all(tmp_path):
    (tmp_path / "hold").touch()
    process = start_plain(tmp_path)
    eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)
    workers = workers_of(process)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0
    assert all(map(gone, workers))


@pytest.fixture(scope="module", params=[FAKE, pytest.param("service", marks=pytest.mark.slow)])
def service(request, tmp_path_factory, keys_file):
    """A service of two real workers for several tests: its store, its parent process, and its URL.

    The networks are fakes, or those of the store `trained_store`.
    """
    folder = tmp_path_factory.mktemp("service")
    if request.param == FAKE:
        store = fake_store(folder)
    else:
        store = Store(shutil.copytree(request.getfixturevalue("trained_store").path, folder / "store"))
        publish_variant(store, "tiny", 0.5)
    settings = {"DIGITS_KEYS_FILE": str(keys_file), "DIGITS_POLL_INTERVAL_S": "0"}
    with running(store, request.param, **settings) as (process, url):
        yield store, process, url
        workers = workers_of(process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, stdout) == (0, "")
        assert [line for line in stderr.splitlines() if "answers; loaded: " not in line] == []
        assert all(map(gone, workers))


def rows_counted(url):
    return counted(url, "digits_batch_rows_sum")


def requests_counted(url):
    return counted(url, "digits_request_duration_seconds_count", route="/predict")


def counted(url, name, **labels):
    text = httpx.get(f"{url}/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def test_real_workers_count_together(service):
    _, process, url = service
    assert len(workers_of(process)) == 2
    for _ in range(20):  # connections of their own, so that both get some
        answer = httpx.post(f"{url}/predict", json={"pixels": [0] * 784})
        assert answer.status_code == 200
    eventually(lambda: rows_counted(url) == 20, PATIENCE_S, STEP_S)  # of the other one as of the last second
    eventually(lambda: requests_counted(url) == 20, PATIENCE_S, STEP_S)


def test_whoever_dies_is_replaced(service):
    _, process, url = service
    victim, other = workers_of(process)
    os.kill(victim, signal.SIGKILL)
    assert next_said(process) == f"worker {victim} has ended with -9: replaced"
    eventually(lambda: len(workers_of(process)) == 2, PATIENCE_S, STEP_S)
    assert other in workers_of(process)
    assert httpx.get(f"{url}/readyz").status_code == 200
    eventually(lambda: all(taken_by(worker, url) for worker in workers_of(process)), PATIENCE_S, 5 * STEP_S)
    assert {worker for worker, _ in memory_by_worker(url)} == {"0", "1", "parent"}
    shared = gauges_shared_by(process)
    assert str(victim) not in shared, "its gauges are gone, and would be added up for ever"
    assert str(other) in shared


def memory_by_worker(url):
    """Resident bytes of each process, by its place."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    (memory,) = [family for family in families if family.name == "process_resident_memory_bytes"]
    assert all(sample.value > 2**20 for sample in memory.samples)
    return [(sample.labels["worker"], sample.value) for sample in memory.samples]


def gauges_shared_by(process):
    """Ids of the processes whose gauges are added up."""
    environment = Path(f"/proc/{workers_of(process)[0]}/environ").read_text()
    folder = re.search(r"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", environment)[1]
    return {path.stem.rpartition("_")[2] for path in Path(folder).glob("gauge_live*.db")}


def taken_by(worker, url):
    """Whether a connection comes to a worker; two are dealt out to two of them."""
    host, port = address_of(url)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection((host, port)))
        last = stack.enter_context(socket.create_connection((host, port), timeout=PATIENCE_S))
        last.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert last.recv(1000).startswith(b"HTTP/1.1 200")  # the others have been dealt out by now
        return connections_of(worker, port) > 0


def connections_of(pid, port):
    """How many TCP connections at the port a process holds."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == ESTABLISHED}
    held = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    return len(held & {f"socket:[{inode}]" for inode in inodes})


@pytest.mark.parametrize(("how", "version"), [("by SIGHUP to the parent", 2), ("by a request to one worker", 1)])
def test_all_workers_load_another_version(service, how, version):
    store, process, url = service
    store.promote("tiny", version)
    if how == "by SIGHUP to the parent":
        process.send_signal(signal.SIGHUP)
    else:
        answer = httpx.post(f"{url}/manage/reload", headers=AUTHORIZATION)
        assert [model["version"] for model in answer.json()["models"]] == [version]
    eventually(
        lambda: {version_at(url) for _ in range(4)} == {version}, PATIENCE_S, STEP_S
    )  # dealt out in turn: both twice


def version_at(url):
    return httpx.get(f"{url}/models").json()["models"][0]["version"]


@pytest.mark.parametrize(
    ("processors", "workers", "shares"),
    [
        ([0, 1, 2, 3], 2, [[0, 2], [1, 3]]),
        ([0, 1, 2], 2, [[0, 2], [1]]),
        ([4, 7], 3, [[4], [7], [4]]),
        ([0], 2, [[0], [0]]),
    ],
)
def test_each_has_its_share_of_the_processors(processors, workers, shares):
    assert [share(processors, place, workers) for place in range(workers)] == shares
