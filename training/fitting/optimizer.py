"""The optimizer of a recipe, with its learning-rate schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optax

if TYPE_CHECKING:
    from training.recipe import Recipe


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate by step: a linear warm-up from a tenth of the peak, then the recipe's schedule."""
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    rest = max(recipe.epochs * steps_per_epoch - warmup, 1)
    peak = recipe.learning_rate
    falls = {
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "constant": optax.constant_schedule(peak),
    }
    return optax.join_schedules([optax.linear_schedule(peak / 10, peak, warmup), falls[recipe.schedule]], [warmup])


def optimizer(recipe: Recipe, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optax transformation of a recipe."""
    rate = learning_rate(recipe, steps_per_epoch)
    match recipe.optimizer:
        case "adamw":
            return optax.adamw(rate, weight_decay=recipe.weight_decay)
        case "adam":
            return optax.adam(rate)
        case "sgd":
            return optax.sgd(rate, momentum=0.9, nesterov=True)
