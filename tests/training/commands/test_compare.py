"""`python -m training compare`: two versions on the same pictures."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support import commands
from training import mnist
from training.answers import COLUMNS, DIGIT
from training.commands.compare import _named
from training.predictor import Predictor


def run(*arguments) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m training compare …`, on one line each."""
    code, out, err = commands.run("compare", *arguments)
    return code, " ".join(out.split()), err


class Reading:
    """A predictor that reads digits by the number of bright pixels of a picture; version 2 takes every 3 for an 8."""

    def __init__(self, name, version, sha256="other", held_out=500):
        self.name, self.version = name, version
        self.card = SimpleNamespace(
            digits_sha256=sha256, recipe=SimpleNamespace(validation_images=held_out), model="never printed"
        )

    def columns(self, images):
        read = np.zeros((len(images), COLUMNS), np.float32)
        read[:, DIGIT] = np.count_nonzero(images.reshape(len(images), -1) > 0, axis=1)
        if self.version == 2:
            read[read[:, DIGIT] == 3, DIGIT] = 8
        return read


@pytest.fixture
def versions(monkeypatch):
    """The versions that are loaded, by name and version."""
    known = {("lenet", "1"): Reading("lenet", 1), ("lenet", "2"): Reading("lenet", 2)}
    monkeypatch.setattr(Predictor, "load", lambda store, name, version: known[name, version])
    return known


@pytest.fixture
def own(tmp_path):
    """Thirty digits, each three times."""
    images, labels = np.zeros((30, 28, 28), np.uint8), np.arange(30) % 10
    for image, label in zip(images, labels, strict=True):
        image.ravel()[:label] = 255
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    return tmp_path / "own.npz"


def test_what_changed_is_told_with_test_and_interval(versions, own):
    code, out, _ = run("lenet:1", "lenet:2", "--data", own)
    assert code == 0
    assert f"on 30 pictures, {own}:" in out
    assert "A: lenet version 1, 0 wrong, error 0.00% B: lenet version 2, 3 wrong, error 10.00%" in out
    assert re.search(r"B - A: \+10\.00 percentage points \(95 %: -\d\.\d\d to \+\d\d\.\d\d\)", out)
    assert "only A is right about 3, only B about 0: McNemar's exact p = 0.25" in out
    assert "3 3 3 0" in out
    assert "3 3 3 8 lost 13 3 3 8 lost 23 3 3 8 lost" in out
    assert "no answer changed" in run("lenet:2", "lenet:2", "--data", own)[1]


def test_json_has_all_of_it(versions, own):
    answer = json.loads(run("lenet:2", "lenet:1", "--data", own, "--json")[1])
    assert (answer["first"], answer["second"]) == ("lenet version 2", "lenet version 1")
    assert (answer["errors"], answer["lost"], answer["won"]) == ([3, 0], 0, 3)
    assert answer["changed"][0] == {"picture": 3, "digit": 3, "first": 8, "second": 3}


def test_validation_images_are_those_that_no_version_has_seen(versions):
    """On pictures that one of two versions was trained on, a comparison would be worth nothing."""
    code, _, err = run("1", "2")
    assert (code, err) == (
        1,
        "error: not all of these versions were trained on MNIST, want --data with digits that none has seen",
    )
    sha256 = mnist.train().sha256
    versions["lenet", "1"] = Reading("lenet", 1, sha256)
    versions["lenet", "2"] = Reading("lenet", 2, sha256, held_out=100)
    assert "500 and 100 images were held out from these versions, want the same number" in run("1", "2")[2]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mlp:3", ("mlp", "3")),
        ("mlp", ("mlp", "champion")),
        ("mlp:previous", ("mlp", "previous")),
        ("3", ("lenet", "3")),
        ("challenger", ("lenet", "challenger")),
        (":2", ("lenet", "2")),
    ],
)
def test_versions_are_named_with_or_without_their_model(name, meant, monkeypatch):
    monkeypatch.delenv("DIGITS_MODEL", raising=False)
    assert _named(name) == meant
