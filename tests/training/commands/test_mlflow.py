"""Runs of MLflow, written by `fit --mlflow`; MLflow's client is a fake, which keeps what it is told."""

import importlib
import sys
from types import ModuleType

import pytest

from training.errors import DigitsError
from training.recipe import Recipe
from training.store.card import EpochRow

MODULE = "training.commands.mlflow_run"
RECIPE = Recipe(epochs=2, schedule="constant", warmup_epochs=0, learning_rate=0.25, seed=3)


class MlflowException(Exception):
    """What MLflow's client raises."""


@pytest.fixture
def told(monkeypatch):
    """The calls of MLflow's client, in their order."""
    calls = []
    client, exceptions = ModuleType("mlflow"), ModuleType("mlflow.exceptions")
    for name in ("start_run", "log_params", "log_metrics", "end_run"):
        setattr(client, name, lambda *given, name=name, **named: calls.append((name, *given, named)))
    exceptions.MlflowException = MlflowException
    monkeypatch.setitem(sys.modules, "mlflow", client)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield calls
    sys.modules.pop(MODULE, None)


def run(shown=lambda **_: None):
    return importlib.import_module(MODULE).MlflowRun("net", RECIPE, shown)


def row(epoch) -> EpochRow:
    return EpochRow(epoch=epoch, loss=0.5, validation_error=0.25, images_per_s=1024.0, seconds=3.0)


def test_the_recipe_is_parameters_and_the_figures_of_an_epoch_are_metrics(told):
    shown = []
    with run(lambda **progress: shown.append(progress["epoch"])) as watch:
        watch(epoch=1, images=64, loss=0.7, row=None)
        watch(epoch=1, images=640, loss=0.6, row=row(1))
    (start, params, metrics, end) = told
    assert start == ("start_run", {"run_name": "net-seed-3"})
    assert (params[1]["model"], params[1]["epochs"], params[1]["learning_rate"]) == ("net", 2, 0.25)
    figures = {"loss": 0.5, "validation_error": 0.25, "images_per_s": 1024.0, "learning_rate": 0.25}
    assert metrics == ("log_metrics", figures, {"step": 1})
    assert end == ("end_run", "FINISHED", {})
    assert shown == [1, 1]


def test_a_run_that_ends_by_an_error_has_failed(told):
    with pytest.raises(KeyboardInterrupt), run():
        raise KeyboardInterrupt
    assert told[-1] == ("end_run", "FAILED", {})


def test_what_mlflow_refuses_is_told_in_one_line(told, monkeypatch):
    def refuse(*_, **__):
        raise MlflowException("the server is away")

    monkeypatch.setattr(sys.modules["mlflow"], "log_metrics", refuse)
    with pytest.raises(DigitsError, match="MLflow: the server is away"), run() as watch:
        watch(epoch=1, images=640, loss=0.6, row=row(1))


def test_without_mlflow_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(
        ImportError, match="--mlflow wants the package mlflow-skinny: python -m pip install mlflow-skinny"
    ):
        importlib.import_module(MODULE)
