"""Prometheus metrics: batches, padding, waiting, refusals, and one exposition for several workers."""

import errno
import os
import subprocess
import sys

import pytest

from service.engine.batcher import Batch
from service.observability.metrics import Metrics
from service.observability.process_metrics import FILE_BYTES, SHARED_FOLDER, release_room, reserve_files
from tests.support.application import app_with, client_of
from tests.support.exposition import read
from tests.support.fake_predictor import FakePredictor, picture

pytestmark = pytest.mark.anyio
LENET = (("model", "lenet"), ("version", "3"))


async def test_batches_their_padding_and_refusals_are_counted():
    async with client_of(app_with(FakePredictor(row_sizes=(1, 4, 16)))) as client:
        for rows in (1, 3, 5):
            body = picture(7).tobytes() * rows
            await client.post("/predict", content=body, headers={"Content-Type": "application/octet-stream"})
        await client.post("/predict", content="{", headers={"Content-Type": "application/json"})
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = read(response.text)
    assert found["digits_batch_rows_count", LENET] == 3
    assert found["digits_batch_rows_sum", LENET] == 9
    assert found["digits_padding_rows_total", LENET] == (1 - 1) + (4 - 3) + (16 - 5)
    assert found["digits_queue_wait_seconds_count", LENET] == 3
    assert found["digits_inference_seconds_count", LENET] == 3
    assert found["digits_refused_requests_total", (("code", "invalid_json"),)] == 1
    assert found["digits_compilations_after_ready_total", ()] == 0


def test_a_compilation_after_the_start_is_counted():
    metrics = Metrics()
    metrics.models.compiled()
    assert read(metrics.exposition().decode())["digits_compilations_after_ready_total", ()] == 1


def test_one_worker_tells_of_all(tmp_path):
    code = f"""
import os
os.environ[{SHARED_FOLDER!r}] = {str(tmp_path)!r}
from service.engine.batcher import Batch
from service.observability.metrics import Metrics
metrics = Metrics({str(tmp_path)!r})
metrics.models.version("lenet", 3, lambda rows: rows).batches(Batch(2, 0.001, [0.0, 0.0]))
print(metrics.exposition().decode())
"""
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert [read(text)["digits_batch_rows_sum", LENET] for text in said] == [2, 4]


def test_shared_metrics_have_their_room_on_the_disk(tmp_path):
    """A worker once ended when it counted something new while the disk was full."""
    code = f"""
import os
os.environ[{SHARED_FOLDER!r}] = {str(tmp_path)!r}
from service.observability.metrics import Metrics
metrics = Metrics({str(tmp_path)!r})
for number in range(60):
    metrics.requests.route("GET", f"/path/{{number}}").done(200, 0.1)
metrics.refresh()
print(os.getpid())
"""
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    found = {path.name.rpartition("_")[0]: path.stat() for path in tmp_path.glob("*.db")}
    assert {name: stat.st_size for name, stat in found.items()} == FILE_BYTES
    assert all(stat.st_blocks * 512 >= stat.st_size for stat in found.values()), "none is sparse"
    before = (tmp_path / f"histogram_{pid}.db").read_bytes()
    release_room(str(tmp_path), pid)
    after = (tmp_path / f"histogram_{pid}.db").read_bytes()
    assert before.startswith(after)
    assert not before.removeprefix(after).strip(b"\0")
    assert len(after) < len(before)


def test_files_of_a_process_that_found_no_room_are_no_failure(tmp_path, monkeypatch):
    """The supervisor once ended for an empty one, and left a service that nobody restarted."""

    def full(*args):
        raise OSError(errno.ENOSPC, "no space left")

    (tmp_path / "histogram_7.db").touch()
    release_room(str(tmp_path), 7)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="no space left"):
        reserve_files(str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.db")] == ["histogram_7.db"]


def test_waiting_is_counted_for_each_request():
    metrics = Metrics()
    metrics.models.version("lenet", 3, lambda rows: rows).batches(Batch(3, 0.001, [0.5, 0.25]))
    found = read(metrics.exposition().decode())
    assert found["digits_queue_wait_seconds_sum", LENET] == 0.75
