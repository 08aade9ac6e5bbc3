"""The figures of an epoch that trackers of experiments, such as TensorBoard and MLflow, record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.fitting.optimizer import learning_rate

if TYPE_CHECKING:
    from training.recipe import Recipe
    from training.store.card import EpochRow


def epoch_figures(recipe: Recipe, images: int, row: EpochRow) -> dict[str, float]:
    """Loss, validation error, speed, and the learning rate of the last step; `images` counts those of all epochs."""
    steps = images // recipe.batch_size
    return {
        "loss": row.loss,
        "validation_error": row.validation_error,
        "images_per_s": row.images_per_s,
        "learning_rate": float(learning_rate(recipe, steps // row.epoch)(steps - 1)),
    }
