"""TLS, with a certificate that the test has made."""

import re
import socket
import ssl
from contextlib import ExitStack

import httpx
import pytest
from pydantic import ValidationError

from service.server.socket_passing import channel, send_connection
from service.settings import ServiceSettings
from tests.support.application import app_with, served
from tests.support.certificates import certified
from tests.support.connections import connected
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.fake_service import fake_store
from tests.support.service_process import FAKE, outcome, start

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("tls"))


def trusting(certificate):
    return httpx.Client(verify=ssl.create_default_context(cafile=str(certificate[0])))


def test_a_client_that_trusts_the_certificate_is_answered_and_another_one_is_not(certificate):
    cert, key = certificate
    with served(app_with(FakePredictor(), tls_cert=cert, tls_key=key)) as (host, port):
        url = f"https://{host}:{port}"
        with trusting(certificate) as client:
            for digit in (7, 1):
                answer = client.post(f"{url}/predict", content=picture(digit).tobytes(), headers=OCTETS)
                assert answer.json()["predictions"][0]["digit"] == digit
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/healthz")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{host}:{port}/healthz")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_speaks_tls_with_one_worker_and_with_several(tmp_path, certificate, workers):
    cert, key = certificate
    options = ["--store", str(fake_store(tmp_path).path), "--model", "tiny", "--port", "0", "--workers", str(workers)]
    options += ["--tls-cert", str(cert), "--tls-key", str(key)]
    process = start(*options, module=FAKE, DIGITS_RECENT_PREDICTIONS="64")
    try:
        line = process.stdout.readline()
        match = re.match(r"tiny version 1 is ready at (https://127\.0\.0\.1:\d+) \(\1/docs\) after ", line)
        assert match, line
        for _ in range(4):
            with trusting(certificate) as client:
                answer = client.post(f"{match[1]}/predict", content=bytes(784), headers=OCTETS)
                assert answer.status_code == 200
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0
    finally:
        process.terminate()
        process.communicate(timeout=30)


def refused(**settings):
    with pytest.raises(ValidationError) as caught:
        ServiceSettings(**settings)
    return caught.value.errors()[0]["msg"].removeprefix("Value error, ")


def test_a_certificate_that_cannot_be_used_is_said_before_anything_starts(certificate, tmp_path):
    cert, key = certificate
    other, _ = certified(tmp_path, "other")
    locked_cert, locked_key = certified(tmp_path, "locked", "-passout", "pass:secret")
    assert refused(tls_cert=cert) == "tls_cert and tls_key go together, want both or none"
    missing = tmp_path / "missing"
    assert refused(tls_cert=missing, tls_key=key) == (
        f"tls_cert {missing} and tls_key {key} cannot be used: [Errno 2] No such file or directory"
    )
    assert "KEY_VALUES_MISMATCH" in refused(tls_cert=other, tls_key=key)
    assert "the key is encrypted, want one that is not" in refused(tls_cert=locked_cert, tls_key=locked_key)
    code, stderr = outcome("--tls-cert", str(cert))
    assert (code, stderr) == (1, "error: tls_cert and tls_key go together, want both or none\n")


def test_a_client_that_does_not_shake_hands_is_cut_off(certificate):
    """It once had a minute, and was not counted as a connection."""
    cert, key = certificate
    app = app_with(FakePredictor(), tls_cert=cert, tls_key=key, header_timeout_s=1)
    with served(app) as address, connected(address) as silent:
        assert silent.recv(1) == b""


def test_connections_of_a_supervisor_that_do_not_shake_hands_are_cut_off_and_limited(certificate):
    cert, key = certificate
    app = app_with(FakePredictor(), tls_cert=cert, tls_key=key, header_timeout_s=2, connection_limit=2)
    ours, theirs = channel()
    with socket.create_server(("127.0.0.1", 0)) as listener, ours, theirs, served(app, theirs), ExitStack() as stack:
        clients = []
        for _ in range(3):
            clients.append(stack.enter_context(connected(listener.getsockname())))
            accepted, _ = listener.accept()
            with accepted:
                assert send_connection(accepted, [ours])
        assert clients[2].recv(1) == b""
        assert b'digits_refused_requests_total{code="too_many_connections"} 1.0' in app.service.metrics.exposition()
        for client in clients[:2]:
            assert client.recv(1) == b""
        ours.close()
