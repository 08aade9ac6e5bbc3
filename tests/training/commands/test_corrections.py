"""`python -m training corrections`: corrections are listed, and exported as own digits."""

import json
from contextlib import closing
from functools import partial

import numpy as np
import pytest

from tests.support import commands
from training.corrections import Corrections
from training.data.load import load

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)


run = partial(commands.run, "corrections")


@pytest.fixture
def url(tmp_path):
    """A database with three corrections, the last one of an unknown prediction."""
    found = f"sqlite:///{tmp_path}/feedback.sqlite3"
    with closing(Corrections(found)) as kept:
        kept.prepare()
        for number, image in enumerate(IMAGES[:2]):
            known = {"model": "lenet", "version": 1, "predicted": 7, "client_key": f"key {number}"}
            kept.add(digit=number, pixels=image.tobytes(), **known)
        kept.add(digit=9, pixels=IMAGES[2].tobytes())
    return found


def test_corrections_are_listed_with_what_was_predicted_and_what_is_right(url):
    code, out, _ = run("list", "--feedback", url)
    rows = [line.split() for line in out.splitlines()[1:-1]]
    assert code == 0
    assert [[row[0], *row[3:]] for row in rows] == [
        ["1", "lenet", "1", "7", "0"],
        ["2", "lenet", "1", "7", "1"],
        ["3", "-", "-", "-", "9"],
    ]
    assert out.endswith("3 of 3 corrections\n")


def test_the_newest_ones_are_listed_and_keys_of_clients_are_not_told(url):
    assert run("list", "--feedback", url, "--limit", 1)[1].endswith("1 of 3 corrections\n")
    (last,) = json.loads(run("list", "--feedback", url, "--limit", 1, "--json")[1])
    assert (last["id"], last["digit"], last["model"]) == (3, 9, None)
    assert "client_key" not in last


def test_an_export_is_read_as_own_digits(url, tmp_path):
    for name in ("a.parquet", "a.csv"):
        code, out, _ = run("export", tmp_path / name, "--feedback", url)
        assert (code, out) == (0, f"{tmp_path / name}: 3 corrections\n")
        digits = load(tmp_path / name)
        np.testing.assert_array_equal(digits.images, IMAGES)
        assert digits.labels.tolist() == [0, 1, 9]
    assert "exists already; --force overwrites it" in run("export", tmp_path / "a.csv", "--feedback", url)[2]


def test_without_corrections_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("DIGITS_FEEDBACK_URL", raising=False)
    assert run("list", "--store", tmp_path)[1].endswith("0 of 0 corrections\n")
    code, _, err = run("export", tmp_path / "a.csv", "--store", tmp_path)
    assert (code, err) == (1, "error: there are no corrections, nothing is written")
    missing = f"sqlite:///{tmp_path}/none.sqlite3"
    assert run("list", "--feedback", missing)[2] == f"error: there is no database of corrections at {missing}"
