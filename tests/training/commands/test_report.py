"""`python -m training report` and `leaderboard`: what they refuse, and digits of one's own."""

import shutil

import numpy as np
import pytest

from tests.support.report import Page, run
from training import mnist
from training.data.digits import Digits


@pytest.mark.parametrize(
    "command", [["report", "{folder}/report.html"], ["leaderboard"]], ids=["report", "leaderboard"]
)
def test_an_empty_store_is_refused(tmp_path, command):
    code, out, err = run(*(part.format(folder=tmp_path) for part in command), "--store", tmp_path / "none")
    assert (code, out) == (1, "")
    assert err.endswith(f"error: the store {tmp_path}/none is empty; fill it with python -m training fit lenet --quick")
    assert not list(tmp_path.iterdir())


def test_a_damaged_champion_is_refused_and_an_older_report_stays(trained_store, tmp_path):
    copied = tmp_path / "store"
    shutil.copytree(trained_store.path, copied)
    (copied / "tiny/1/card.json").write_text("{}")
    (tmp_path / "report.html").write_text("the older one")
    code, _, err = run("report", tmp_path / "report.html", "--store", copied)
    assert code == 1
    assert "card.json" in err
    assert (tmp_path / "report.html").read_text() == "the older one"


@pytest.mark.parametrize(
    ("out", "code", "message"),
    [
        ("report.pdf", 2, "report.pdf does not end in .html"),
        ("nowhere/report.html", 1, "nowhere/report.html: want a file in a folder that exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_slow(
    trained_store, monkeypatch, tmp_path, out, code, message
):
    monkeypatch.setattr(mnist, "test", lambda: pytest.fail("read the test images"))
    found = run("report", tmp_path / out, "--store", trained_store.path)
    assert found[0] == code
    assert message in found[2]


def test_own_digits_are_tested_and_named(trained_store, few_digits, tmp_path):
    mine = Digits(few_digits.images[:100], few_digits.labels[:100])
    np.savez(tmp_path / "own.npz", images=mine.images, labels=mine.labels)
    code, _, _ = run("report", tmp_path / "report.HTML", "--store", trained_store.path, "--data", tmp_path / "own.npz")
    text = Page((tmp_path / "report.HTML").read_text("utf-8")).text
    assert code == 0
    assert f"Tested on {tmp_path}/own.npz." in text
    assert "of 100 digits it had never seen" in text
