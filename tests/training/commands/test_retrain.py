"""`python -m training retrain`: exit codes, the JSON report, options and environment."""

import json
import os
import re
import shutil
import signal
from contextlib import closing

import msgspec
import numpy as np
import pytest

from tests.support import commands
from training import mnist
from training.corrections import Corrections
from training.evaluation import latency
from training.retraining.retrain import Report
from training.store import Store

EASY = {
    "DIGITS_GATE_MARGIN": "0.1",
    "DIGITS_GATE_UNLEARNED": "0.6",
    "DIGITS_GATE_SURE": "1",
    "DIGITS_GATE_CORRECTIONS_WANTED": "20",
    "DIGITS_GATE_LATENCY_RATIO": "100",
}
"""Limits that a network of 16 units can keep."""
HARD = EASY | {"DIGITS_GATE_UNLEARNED": "0.01"}


def run(*arguments, env=EASY) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m training retrain tiny …`; sentences are put back on one line."""
    return commands.run("retrain", "tiny", *arguments, **{"COLUMNS": "250", "DIGITS_FEEDBACK_URL": "", **env})


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """600 digits two pixels further to the right, as a file."""
    path = tmp_path_factory.mktemp("own") / "shifted.npz"
    others = mnist.train().take(np.arange(20_000, 20_600))
    np.savez(path, images=np.roll(others.images, 2, axis=2), labels=others.labels)
    return path


@pytest.fixture
def store(trained_store, few_digits, tmp_path, monkeypatch) -> Store:
    """A store of the test's own with version 1 of `tiny`, which was trained on what is called MNIST here."""
    monkeypatch.setattr(mnist, "train", lambda: few_digits)
    monkeypatch.setattr(latency, "ROUNDS", 1)
    shutil.copytree(trained_store.path, tmp_path / "store")
    return Store(tmp_path / "store")


def test_what_passes_is_promoted_with_exit_code_0_and_a_table_of_criteria(store, own):
    code, out, err = run("--data", own, "--store", store.path)
    assert code == 0
    assert out.count("yes  ") == 10
    assert re.search(r"yes +enough corrections +\d+ held-out corrections, want at least 20", out)
    assert "promoted: version 2 is the champion of tiny instead of version 1\n" in out
    assert re.findall(r" (\d) +\d\.\d{4} ", err) == ["1", "2", "3"], "how it goes is on stderr"
    assert store.aliases("tiny") == {"champion": 2, "previous": 1}


def test_what_does_not_pass_stays_in_the_store_unused_with_exit_code_3(store, own):
    code, out, _ = run("--data", own, "--store", store.path, env=HARD)
    assert code == 3
    assert re.search(r"no +corrections follow a rule +\d+ of \d+ held-out corrections contradict", out)
    assert "kept: version 1 remains the champion of tiny; version 2 stays in the store, unused\n" in out
    assert store.aliases("tiny") == {"champion": 1}
    code, out, _ = run("--data", own, "--store", store.path, "--dry-run", "--kept-is-success", env=HARD)
    assert code == 0
    assert "kept: version 1 remains the champion of tiny" in out


def test_the_report_is_json_on_stdout_alone_and_in_the_file_that_one_names(store, own, tmp_path):
    code, out, _ = run("--data", own, "--store", store.path, "--json", "--dry-run", "--decision", tmp_path / "d.json")
    report = msgspec.json.decode(out, type=Report)
    assert (code, report.decision.passed, report.challenger) == (0, True, None)
    assert report.limits["margin"] == 0.1
    assert json.loads((tmp_path / "d.json").read_bytes()) == json.loads(out)
    assert store.versions("tiny") == [1]


def test_a_dry_run_says_what_would_be(store, own):
    code, out, _ = run("--data", own, "--store", store.path, "--dry-run")
    assert (code, store.versions("tiny")) == (0, [1])
    assert "a dry run: what came out would take the place of version 1 of tiny\n" in out


def test_without_promotion_what_passes_is_the_challenger(store, own):
    code, out, _ = run("--data", own, "--store", store.path, "--no-promote")
    assert (code, store.aliases("tiny")) == (0, {"champion": 1, "challenger": 2})
    assert "passed: version 2 is the challenger of tiny\n" in out


def test_options_go_before_the_environment(store, own):
    code, out, _ = run("--data", own, "--store", store.path, "--json", "--dry-run", "--margin", 0.2, "--alpha", 0.01)
    assert code == 0
    limits = json.loads(out)["limits"]
    assert (limits["margin"], limits["alpha"], limits["unlearned"]) == (0.2, 0.01, 0.6)


def test_corrections_come_from_the_database_that_the_service_writes_to(store, own):
    """By default it lies in the store's folder; as long as nobody has corrected anything, the champion is kept."""
    code, out, _ = run("--store", store.path, env={"DIGITS_FEEDBACK_URL": None})
    assert (code, "0 held-out corrections, want at least 50" in out) == (3, True)
    url = f"sqlite:///{store.path}/feedback.sqlite3"
    with np.load(own) as digits, closing(Corrections(url)) as corrections:
        corrections.prepare()
        for image, label in zip(digits["images"][:40], digits["labels"], strict=False):
            corrections.add(digit=int(label), pixels=image.tobytes())
    for given in ((), ("--feedback", url)):
        code, out, _ = run("--store", store.path, "--json", *given, env={"DIGITS_FEEDBACK_URL": None})
        assert (code, json.loads(out)["corrections"]["given"]) == (3, 40)
    code, out, _ = run("--store", store.path, "--json", "--dry-run", "--feedback", url, "--data", own, env=EASY)
    counts = json.loads(out)["corrections"]
    assert (code, counts["given"], counts["repeated"]) == (0, 640, 40)


@pytest.mark.parametrize(
    ("options", "env", "message"),
    [
        (["--feedback", "mysql://host/name"], {}, "error: the database's URL is of kind 'mysql', want sqlite:///FILE"),
        (
            ["--feedback", "sqlite:////nowhere/at.all"],
            {},
            "error: there is no database of corrections at sqlite:////nowhere/at.all",
        ),
        (["--data", "no.npz"], {}, "error: no.npz: there is no such file or folder"),
        (["--store", "elsewhere"], {}, "error: there is no model 'tiny' in the store"),
        (["--margin", "0"], {}, "error: the gate's margin is 0.0: Input should be greater than 0"),
        ([], {"DIGITS_GATE_ALPHA": "often"}, "error: the gate's alpha is often: Input should be a valid number"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(store, tmp_path, monkeypatch, options, env, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("--store", store.path, *options, env=env)
    assert (code, out) == (1, "")
    assert err.startswith(message)
    assert store.versions("tiny") == [1]


def test_a_champion_of_other_digits_is_an_error(store, own, monkeypatch):
    monkeypatch.undo()
    code, _, err = run("--data", own, "--store", store.path)
    assert code == 1
    assert "version 1 of tiny was trained on a test" in err


def test_ctrl_c_ends_it_between_two_steps_with_exit_code_130_and_publishes_nothing(store, own, monkeypatch):
    from training.retraining import retrain

    def interrupted(layers, recipe, training, validation, start, watch):
        watch(epoch=1, images=0, loss=0.0, row=None)
        os.kill(os.getpid(), signal.SIGINT)
        watch(epoch=1, images=64, loss=0.0, row=None)

    monkeypatch.setattr(retrain, "fit", interrupted)
    code, _, err = run("--data", own, "--store", store.path)
    assert code == 130
    assert "stopped by SIGINT; nothing is published" in err
    assert store.versions("tiny") == [1]
