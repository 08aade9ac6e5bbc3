"""How a network is trained: everything that decides the outcome, and that travels with the weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import msgspec

from training.errors import DigitsError

Amount = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "linear", "constant"]


class RecipeError(DigitsError, ValueError):
    """A recipe with a value that makes no sense."""


class Distortion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How strongly pictures are distorted. All zeros: not at all."""

    elastic_px: Amount = 0.0
    """Standard deviation of the displacement by the elastic field, in pixels."""
    smoothness_px: Annotated[float, msgspec.Meta(ge=3)] = 4.0
    """Standard deviation of the Gaussian that smooths the field, in pixels: sigma in the paper."""
    rotation_rad: Amount = 0.0
    """Rotation, scale, shear and shift are drawn evenly from -amount to amount."""
    scale: Amount = 0.0
    shear: Amount = 0.0
    shift_px: Amount = 0.0


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run; with the layers and the data it determines every weight."""

    epochs: Positive = 8
    batch_size: Positive = 64
    optimizer: Optimizer = "adamw"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 2e-3
    """At its peak, after the warm-up."""
    schedule: Schedule = "cosine"
    """How the rate falls after the warm-up: to zero along a cosine or a line, or not at all."""
    warmup_epochs: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 1.0
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    """Decoupled from the gradient (Loshchilov & Hutter 2019); adamw only."""
    average: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Decay of the running average of the weights, by step (Polyak & Juditsky 1992); 0 averages nothing."""
    distortion: Distortion = Distortion()
    """Of the training images, anew in every epoch."""
    validation_images: Positive = 5000
    """Taken from the training images, the same ones for every seed; all choices are made on them."""
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0

    @classmethod
    def of(cls, **values: object) -> Self:
        """The recipe with these values in place of the defaults. Raises RecipeError for one that makes no sense."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise RecipeError(f"the recipe cannot be followed: {error}") from None
