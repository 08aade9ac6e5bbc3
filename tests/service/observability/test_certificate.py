"""The end of a TLS certificate, and the metric that an alert watches."""

import subprocess
import time

import pytest

from service.observability.certificate import certificate_end_s
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from service.state import make_state

DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Certificate and key, valid for ten days."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 10 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_the_end_of_the_first_certificate_of_a_file(pair):
    assert certificate_end_s(pair[0]) == pytest.approx(time.time() + 10 * DAY_S, abs=600)


def test_the_end_is_a_metric_where_there_is_a_certificate(pair, tmp_path):
    name = "digits_certificate_expiry_timestamp_seconds"
    metrics = Metrics()
    make_state(ServiceSettings(store=str(tmp_path), tls_cert=pair[0], tls_key=pair[1]), metrics=metrics)
    (line,) = [line for line in metrics.exposition().decode().splitlines() if line.startswith(name)]
    assert float(line.split()[1]) == certificate_end_s(pair[0])
    assert f"{name} " not in Metrics().exposition().decode()
