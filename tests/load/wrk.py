"""Load from wrk, in one thread, and what it measured."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import DigitsError

if TYPE_CHECKING:
    from tests.load.questions import Question

SCRIPT = """
local file = assert(io.open({body}, "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format(
    '{{"requests": %d, "microseconds": %d, "p50_us": %f, "p99_us": %f, "refused": %d, "timeouts": %d, "broken": %d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.timeout, e.connect + e.read + e.write))
end
"""
"""There is no `response` function: wrk would call it for each answer and become the bottleneck. Its own count of
refusals has all statuses from 400 on."""


@dataclass(frozen=True)
class Measurement:
    """What one load saw; a request that was not answered well counts as an error and not in the rate."""

    requests_per_s: float
    images_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def wrk() -> str:
    """Where the program is. Raises DigitsError when it is nowhere."""
    program = shutil.which("wrk")
    if program is None:
        raise DigitsError("wrk is missing: apt-get install wrk")
    return program


def load(port: int, question: Question, rows: int, clients: int, seconds: int) -> Measurement:
    """Clients that ask this again and again; `rows` are the pictures in it. Raises DigitsError when wrk fails."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "ask.lua"
        body.write_bytes(question.body)
        headers = {"Content-Type": question.content_type, **question.headers}
        lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in headers.items())
        script.write_text(SCRIPT.format(body=json.dumps(str(body)), headers=lines))
        url = f"http://127.0.0.1:{port}{question.path}"
        command = [wrk(), "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return measured(done.stdout, done.stderr, rows)


def measured(output: str, errors: str, rows: int) -> Measurement:
    """What wrk printed. Raises DigitsError when it printed nothing of the kind."""
    line = next((line for line in output.splitlines() if line.startswith("{")), "")
    if not line:
        raise DigitsError(f"wrk failed: {(errors or output).strip()[-300:]}")
    saw = json.loads(line)
    rate = (saw["requests"] - saw["refused"]) / saw["microseconds"] * 1e6
    return Measurement(
        requests_per_s=rate,
        images_per_s=rate * rows,
        p50_ms=saw["p50_us"] / 1e3,
        p99_ms=saw["p99_us"] / 1e3,
        errors=saw["refused"] + saw["timeouts"] + saw["broken"],
    )
