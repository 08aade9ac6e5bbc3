"""Rows of the leaderboard in the report: baselines, means over seeds, and how their numbers read."""

import json

import msgspec
import numpy as np
import pytest

from tests.support.report import SPACE, Page, rendered, row_of, run
from training import mnist
from training.evaluation.baselines import CHOSEN
from training.report.standing import standing
from training.report.wording import count, duration, several


def test_a_baseline_stands_in_the_leaderboard_and_has_no_chapter(trained_store, few_digits, tiny):
    row = msgspec.structs.replace(
        row_of(tiny), model="random_forest", versions=(), weights=None, error=0.0, errors=(0,)
    )
    found = rendered(trained_store, few_digits, tiny, rows=[row])
    assert "random forest misreads 0 of 4,000" in found.text
    assert "random forest baseline, seed 0 0.00 %" in found.text
    assert "model-random_forest" not in found.values("id")


def test_baselines_are_fitted_and_ranked_when_asked_for(trained_store, few_digits, monkeypatch, tmp_path):
    np.savez(tmp_path / "own.npz", images=few_digits.images[:500], labels=few_digits.labels[:500])
    few = mnist.train().take(np.arange(6000))
    monkeypatch.setattr(mnist, "train", lambda: few)
    monkeypatch.setitem(CHOSEN, "logistic_regression", {"tol": 0.5})
    monkeypatch.setitem(CHOSEN, "random_forest", {"n_estimators": 3})
    asked = ("--store", trained_store.path, "--data", tmp_path / "own.npz", "--baselines")
    code, out, _ = run("leaderboard", *asked, "--json")
    rows = {row["model"]: row for row in json.loads(out)}
    assert code == 0
    assert rows.keys() == {"tiny", "logistic_regression", "random_forest"}
    assert [row["error"] for row in rows.values()] == sorted(row["error"] for row in rows.values())
    assert rows["random_forest"]["versions"] == []
    assert (rows["logistic_regression"]["weights"], rows["random_forest"]["weights"]) == (7850, None)
    assert {row["images"] for row in rows.values()} == {500}
    assert run("report", tmp_path / "report.html", *asked)[0] == 0
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    for name in ("logistic regression", "random forest"):
        assert f"{name} baseline, seed 0 {100 * rows[name.replace(' ', '_')]['error']:.2f} %" in text


def test_a_network_with_several_seeds_has_a_row_of_means_and_says_over_which(trained_store, few_digits, tiny):
    """Wrong: 400, 403 and 408 of 4,000."""
    cards = [
        msgspec.structs.replace(
            tiny.card, recipe=msgspec.structs.replace(tiny.card.recipe, seed=seed), training_seconds=t
        )
        for seed, t in ((0, 60.0), (1, 70.0), (2, 80.0))
    ]
    metrics = [msgspec.structs.replace(tiny.metrics, errors=n, error=n / 4000) for n in (400, 408, 403)]
    row = standing(list(zip((3, 5, 8), cards, metrics, strict=True)))
    text = rendered(trained_store, few_digits, tiny, rows=[row]).text
    assert "tiny misreads 403.7 of 4,000 digits it had never seen" in text
    assert "an error of 10.09 % on a few digits, the mean of 3 networks that differ by chance alone; on ever" in text
    low, high = row.interval
    assert (
        f"tiny versions 3, 5, 8, seeds 0, 1, 2 10.09 % {100 * low:.2f} to {100 * high:.2f} % seeds: 10.00 to 10.20 % "
        "12,730 70 s"
    ) in text
    assert "the interval is no narrower than one seed's" in text
    assert "the interval is no narrower" not in rendered(trained_store, few_digits, tiny).text


def test_counts_and_lists_read_well():
    assert (count(91190), count(45.333), count(45.0)) == ("91,190", "45.3", "45")
    assert (several("seed", [0]), several("seed", (0, 1, 2))) == ("seed 0", "seeds 0, 1, 2")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 s"), (2.0, "2 s"), (6.94, "6.9 s"), (64.1, "64 s"), (725, "12 min"), (9000, "2.5 h")],
)
def test_durations_read_well(seconds, said):
    assert duration(seconds).replace(SPACE, " ") == said
