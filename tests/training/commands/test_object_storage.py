"""The commands with a store in object storage: training, listing, promoting, and errors of one line."""

import json

import numpy as np
import pytest

from tests.support.commands import run
from training.store import Store

LAYERS = 'layers = [{kind = "flatten"}, {kind = "dense", features = 10}]'


@pytest.fixture
def url(s3_url, tmp_path, monkeypatch) -> str:
    """The URL of an empty store, whose cache is not that of the user."""
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "cache"))
    return s3_url


def test_a_network_is_trained_published_listed_and_promoted(url, few_digits, tmp_path):
    np.savez(tmp_path / "own.npz", images=few_digits.images, labels=few_digits.labels)
    (tmp_path / "net.toml").write_text(LAYERS)
    options = ("--layers", tmp_path / "net.toml", "--data", tmp_path / "own.npz", "--epochs", 1, "--resume")
    code, out, err = run("fit", "mine", *options, "--validation-images", 500, "--store", url)
    assert code == 0, err
    assert f"published mine version 1 in {url}/mine/1: validation error" in " ".join(out.split())
    store = Store(url, cache=tmp_path / "cache")
    store.publish(*store.load("mine", 1))
    assert run("promote", "mine", 2, "--store", url) == (0, "version 2 is the champion of mine\n", "")
    assert run("rollback", "mine", "--store", url) == (0, "version 1 is the champion of mine again\n", "")
    rows = json.loads(run("models", "--store", url, "--json")[1])
    assert [(row["version"], row["aliases"], row["problem"]) for row in rows] == [
        (1, ["champion"], None),
        (2, [], None),
    ]
    assert [row["to"] for row in json.loads(run("changes", "mine", "--store", url, "--json")[1])] == [1, 2, 1]
    left = store.path
    assert sorted(path.name for path in left.iterdir()) == [".runs"], "checkpoints of runs stay on the machine"
    assert list((left / ".runs").iterdir()) == [], "and are removed when the outcome is published"


@pytest.mark.parametrize("command", [("models",), ("promote", "tiny", 2), ("evaluate", "tiny"), ("fit", "lenet")])
def test_an_error_of_the_store_is_one_line(url, s3, command):
    with s3.fault(status=403, code="ExpiredToken"):
        code, _, err = run(*command, "--store", url)
    assert code == 1
    assert err.startswith(f"error: {url}")
    assert err.endswith(" is not available: the credentials have expired (ExpiredToken)")
    assert run(*command, "--store", "https://example.org/store")[2] == (
        "error: store 'https://…': want a folder, s3://, gs:// or az://"
    )
