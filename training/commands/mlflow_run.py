"""Runs of MLflow for trainings; only with the extra `mlflow`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from training.commands.epoch_figures import epoch_figures
from training.errors import DigitsError

try:
    import mlflow
    from mlflow.exceptions import MlflowException
except ImportError as error:
    raise ImportError("--mlflow wants the package mlflow-skinny: python -m pip install mlflow-skinny") from error

if TYPE_CHECKING:
    from types import TracebackType

    from training.fitting.loop import Watch
    from training.recipe import Recipe
    from training.store.card import EpochRow


class MlflowRun:
    """A context manager that gives a `Watch`, which first calls `shown`, another `Watch`.

    The recipe is a run's parameters, and each epoch's figures are its metrics, at MLFLOW_TRACKING_URI and in the
    experiment MLFLOW_EXPERIMENT_NAME. Raises DigitsError when MLflow refuses.
    """

    def __init__(self, name: str, recipe: Recipe, shown: Watch) -> None:
        self._name, self._recipe, self._shown = name, recipe, shown

    def __enter__(self) -> Watch:
        try:
            mlflow.start_run(run_name=f"{self._name}-seed-{self._recipe.seed}")
            mlflow.log_params({"model": self._name, **msgspec.to_builtins(self._recipe)})
        except MlflowException as error:
            mlflow.end_run("FAILED")
            raise DigitsError(f"MLflow: {error}") from error
        return self.watch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mlflow.end_run("FAILED" if error else "FINISHED")

    def watch(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None:
        """Training's `Watch`. Raises DigitsError when MLflow refuses."""
        self._shown(epoch=epoch, images=images, loss=loss, row=row)
        if row:
            try:
                mlflow.log_metrics(epoch_figures(self._recipe, images, row), step=epoch)
            except MlflowException as error:
                raise DigitsError(f"MLflow: {error}") from error
