"""The whole loop on real MNIST: serve, correct, retrain, pass the gate, reload; every step as people take it."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from scipy import ndimage

from tests.support.waiting import eventually
from training import mnist

CORRECTIONS, HELD_OUT = 3000, 2000
DEGREES = 25.0
ROWS = 1000
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DIGITS_")}


def leaning(images: np.ndarray) -> np.ndarray:
    """The same digits written by somebody whose paper lay askew, uint8 [n, 28, 28]."""
    turned = ndimage.rotate(images.astype(np.float32), DEGREES, axes=(1, 2), reshape=False, order=1)
    return np.clip(np.rint(turned), 0, 255).astype(np.uint8)


def train(*arguments, code=0):
    """A command of the offline side; what it prints."""
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving(store):
    """A client of a service that follows the store."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--store", str(store), "--model", "mlp", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"DIGITS_POLL_INTERVAL_S": "0.2", "DIGITS_FEEDBACK_LIMIT_PER_MINUTE": "0"},
    )
    try:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answers(client, images) -> tuple[int, np.ndarray]:
    """The version that answers, and the digits that it sees in uint8 [n, 28, 28]."""
    headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
    digits = []
    for first in range(0, len(images), ROWS):
        body = images[first : first + ROWS].tobytes()
        said = client.post("/predict?fields=digit", content=body, headers=headers).json()
        digits += [prediction["digit"] for prediction in said["predictions"]]
    return said["model"]["version"], np.array(digits)


@pytest.fixture(scope="module")
def askew():
    """Leaning digits that nobody has trained on, with their labels: of them some are corrected, and some judged."""
    test = mnist.test().take(np.arange(CORRECTIONS + HELD_OUT))
    return leaning(test.images), test.labels


@pytest.mark.slow
def test_corrections_make_a_champion_that_is_better_where_it_was_wrong_and_no_worse_elsewhere(tmp_path, askew):
    store, (images, labels) = tmp_path / "store", askew
    train("fit", "mlp", "--epochs", 8, "--store", store)
    plain = mnist.test().take(np.arange(5000, 9000))
    with serving(store) as client:
        version, leant = answers(client, images)
        _, upright = answers(client, plain.images)
        assert version == 1
        for picture, label, predicted in zip(images[:CORRECTIONS], labels, leant, strict=False):
            correction = {"pixels": picture.ravel().tolist(), "digit": int(label), "predicted": int(predicted)}
            assert client.post("/feedback", json={**correction, "model": "mlp", "version": 1}).status_code == 201
        said = train("retrain", "mlp", "--feedback", f"sqlite:///{store / 'feedback.sqlite3'}", "--store", store)
        assert "promoted: version 2 is the champion of mlp instead of version 1" in said
        eventually(lambda: answers(client, images[:1])[0] == 2, 30)
        errors = [np.mean(leant[CORRECTIONS:] != labels[CORRECTIONS:])]
        errors.append(np.mean(answers(client, images[CORRECTIONS:])[1] != labels[CORRECTIONS:]))
        assert errors[1] < 0.6 * errors[0], errors
        before, after = np.mean(upright != plain.labels), np.mean(answers(client, plain.images)[1] != plain.labels)
        assert after <= before + 0.003, (before, after)
    decision = json.loads((store / "mlp" / "decisions" / "2.json").read_text())
    assert decision["decision"]["passed"]
    assert "passed the gate" in train("changes", "mlp", "--store", store)
