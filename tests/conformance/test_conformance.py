"""The conformance suite: green on the service, fair to another server, and not to be fooled by a broken one."""

import contextlib
import json
import os
import subprocess
import sys
import time

import httpx
import pytest

from tests.conformance.__main__ import look
from tests.conformance.broken import DEFECTS, broken
from tests.conformance.feature import Verdict
from tests.conformance.mlserver.environment import HERE
from tests.conformance.server import NoServer
from tests.load.server import free_port
from tests.support.application import app_with, served
from tests.support.fake_predictor import FakePredictor
from tests.support.project import ROOT


def suite(*options):
    """The suite as a command."""
    command = [sys.executable, "-m", "tests.conformance", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def by_name(findings):
    return {(finding.protocol[:3], finding.name): finding for finding in findings}


@pytest.fixture(scope="module")
def ours():
    with served(app_with(FakePredictor(), FakePredictor("mlp", 1))) as (host, port):
        yield f"http://{host}:{port}"


def test_the_service_does_everything_that_the_suite_knows_of(ours):
    done = suite("--url", ours, "--json")
    findings = json.loads(done.stdout)
    assert [finding["name"] for finding in findings if finding["verdict"] != "yes"] == []
    assert len(findings) == 45
    assert done.returncode == 0


def test_the_suite_prints_a_table_of_every_feature(ours):
    done = suite("--url", ours, "--model", "mlp")
    assert done.returncode == 0
    assert "inference, flat data" in done.stdout
    assert "column form" in done.stdout
    assert done.stdout.splitlines()[-1] == "45 of 45 features; nothing that is required fails"


def test_the_help_has_examples_and_what_the_exit_codes_mean():
    said = " ".join(suite("--help").stdout.split())
    assert "python -m tests.conformance --url http://127.0.0.1:8000" in said
    assert "Exit code 0" in said


def test_a_small_server_that_is_right_passes_without_what_is_optional():
    with broken() as url:
        findings = look(url)
    assert [finding.name for finding in findings if not finding.passes] == []
    missing = {finding.name for finding in findings if finding.verdict is Verdict.NO}
    assert {"column form", "binary tensors in", "classification", "metadata"} <= missing


@pytest.mark.parametrize(("defect", "feature"), DEFECTS.items())
def test_a_server_with_one_defect_fails_in_what_is_broken(defect, feature):
    with broken(defect) as url:
        findings = look(url, "m")
    failing = [finding.name for finding in findings if not finding.passes]
    assert feature in failing


def test_a_defect_is_exit_code_1_and_is_named():
    with broken("the id does not come back") as url:
        done = suite("--url", url)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("; failing: id comes back")


def test_nobody_at_the_url_is_one_line_and_exit_code_1():
    done = suite("--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: POST /v2/repository/index at http://127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_of_neither_protocol_is_told_so():
    with (
        served(app_with(FakePredictor())) as (host, port),
        pytest.raises(NoServer, match="speaks neither /v1 of 'x' nor"),
    ):
        look(f"http://{host}:{port}/predict", "x")


@contextlib.contextmanager
def mlserver(python):
    """MLServer, started as its documentation says, with a model of its own: its URL."""
    port = free_port()
    environment = os.environ | {"MLSERVER_HTTP_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [python.parent / "mlserver", "start", str(HERE / "models")]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        try:
            while True:
                assert process.poll() is None, "MLServer has ended"
                assert time.monotonic() < end, "MLServer was not ready in time"
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/v2/models/sums/ready", trust_env=False).status_code == 200:
                        break
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def test_mlserver_is_judged_fairly(protocols):
    """It passes in all that it speaks, but for one thing that the specification says of all errors.

    Those that FastAPI finds have "detail" in place of "error", and data that does not fit its shape is 500 with a text.
    What of it is optional and missing is told from what is wrong.
    """
    with mlserver(protocols) as url:
        findings = look(url)
    failing = [finding.name for finding in findings if not finding.passes]
    assert failing == ['errors are {"error": text}']
    missing = [finding.name for finding in findings if finding.verdict is Verdict.NO]
    assert missing == [
        "an unknown output is an error",
        "binary tensors in",
        "binary tensors out",
        "binary data that is too short is an error",
        "a raw request",
        "classification",
    ]
    assert {finding.protocol for finding in findings} == {"/v2 Open Inference"}
