"""The baselines of scikit-learn: logistic regression and a random forest."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from training import mnist
from training.commands.baselines import baselines as command
from training.data.digits import DataError
from training.data.split import split
from training.evaluation import baselines
from training.evaluation.scores import predict, score

SMALL = {"logistic_regression": {"C": 0.01, "tol": 0.01}, "random_forest": {"n_estimators": 20, "n_jobs": 1}}


@pytest.fixture(scope="module")
def parts(few_digits):
    return split(few_digits, 1000)


@pytest.fixture(scope="module")
def fitted(parts):
    told = []
    found = list(baselines.fit_baselines(*parts, chosen=SMALL, watch=told.append))
    assert told == ["logistic_regression", "random_forest"]
    return found


def test_both_learn_from_three_thousand_digits(fitted):
    assert {each.name: each.validation.error < 0.15 for each in fitted} == dict.fromkeys(SMALL, True)
    assert all(each.fit_seconds > 0 for each in fitted)
    assert [each.parameters for each in fitted] == list(SMALL.values())


def test_a_baseline_answers_as_a_predictor_does(fitted, parts):
    for each in fitted:
        probabilities = predict(each, parts[1])
        assert (probabilities.shape, probabilities.dtype) == ((1000, 10), np.float32)
        assert score(probabilities, parts[1].labels) == each.validation


def test_logistic_regression_has_7850_weights_and_a_forest_has_none(fitted):
    assert [each.weights for each in fitted] == [7850, None]


def test_the_same_seed_grows_the_same_forest_and_another_does_not(parts):
    chosen = {"random_forest": {"n_estimators": 3}}
    same, again, other = (
        predict(next(baselines.fit_baselines(*parts, seed=seed, chosen=chosen)), parts[1]) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)


def test_digits_without_a_class_are_refused(parts):
    training, validation = parts
    with pytest.raises(DataError, match="the training digits have no 7, want each digit from 0 to 9"):
        next(baselines.fit_baselines(training.take(training.labels != 7), validation))


@pytest.fixture
def run(monkeypatch, few_digits):
    """The command, on a few digits and with small models; the test images cannot be read."""
    monkeypatch.setattr(mnist, "train", lambda: few_digits.take(np.arange(5500) % 4000))
    monkeypatch.setattr(mnist, "test", None)
    monkeypatch.setattr(baselines, "CHOSEN", SMALL)
    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)


def test_the_command_prints_a_table(run):
    done = run("--seed", "1")
    assert done.exit_code == 0
    words = done.stdout.split()  # a narrow terminal wraps cells
    assert words[:7] == ["model", "validation", "error", "log-loss", "weights", "seconds", "chosen"]
    assert {"logistic", "regression", "0.01,", "random", "forest"} <= set(words)
    assert words.index("logistic") < words.index("random")


def test_the_command_prints_json(run):
    done = run("--json")
    assert done.exit_code == 0
    first, second = json.loads(done.stdout)
    assert (first["model"], first["weights"], first["seed"]) == ("logistic_regression", 7850, 0)
    assert (second["model"], second["parameters"]) == ("random_forest", {"n_estimators": 20, "n_jobs": 1})
    assert first["validation"]["images"] == 550, "a tenth of them"
    assert set(first["validation"]) == {"images", "errors", "error", "interval", "log_loss"}
