"""The recipe: the hyperparameters of a training run, kept in the card beside the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec

from training.errors import DigitsError
from training.network.layers import Conv, Dense, Dropout, Flatten, Layers, MaxPool
from training.typed_file import read_typed
from training.wrong_value import wrong_value

if TYPE_CHECKING:
    from pathlib import Path

Amount = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "linear", "constant"]


class RecipeError(DigitsError, ValueError):
    """A recipe with a value outside of its range, or of the wrong type."""


class Distortion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The strength of elastic and affine distortion of pictures. All zeros: none."""

    elastic_px: Amount = 0.0
    """Standard deviation of the displacement by the elastic field, in pixels."""
    smoothness_px: Annotated[float, msgspec.Meta(ge=3)] = 4.0
    """Standard deviation of the Gaussian that smooths the field, in pixels (sigma in Simard et al. 2003)."""
    rotation_rad: Amount = 0.0
    """Rotation, scale, shear and shift are each drawn uniformly from -amount to amount."""
    scale: Amount = 0.0
    shear: Amount = 0.0
    shift_px: Amount = 0.0


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run; with the layers and the data it determines every weight."""

    epochs: Positive = 8
    batch_size: Positive = 64
    optimizer: Optimizer = "adamw"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 2e-3
    """The peak of the learning rate, after the warm-up."""
    schedule: Schedule = "cosine"
    """How the rate falls after the warm-up: to zero along a cosine or a line, or not at all."""
    warmup_epochs: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 1.0
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    """Decoupled from the gradient (Loshchilov & Hutter 2019); adamw only."""
    average: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Decay of the running average of the weights, by step (Polyak & Juditsky 1992); 0 averages nothing."""
    distortion: Distortion = Distortion()
    """Distortion of the training images, drawn anew in every epoch."""
    validation_images: Positive | None = None
    """Number of training images that are held out, the same ones for every seed; all choices are made on them. None:
    5,000 or a tenth of the images, whichever is smaller."""
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    teacher: Teacher | None = None
    """Networks whose answers are learned in place of the labels (distillation); None: the labels are learned."""

    def changed(self, **values: object) -> Self:
        """The recipe with other values for some of its fields. Raises RecipeError for a wrong one."""
        content = {**msgspec.to_builtins(self), **msgspec.to_builtins(values)}
        try:
            return msgspec.convert(content, type(self))
        except msgspec.ValidationError as error:
            raise RecipeError(f"the recipe cannot be followed: {wrong_value(error, content, type(self))}") from None

    def scaled_to(self, batch_size: int) -> Self:
        """The recipe for another batch size, with the learning rate and the running average scaled to it.

        The rate grows as the square root of the size (adam, adamw: Malladi et al. 2022, On the SDEs and scaling rules
        for adaptive gradient algorithms) or in proportion (sgd: Goyal et al. 2017, Accurate, large minibatch SGD). The
        average forgets as much by epoch (Busbridge et al. 2023, How to scale your EMA).
        """
        times = batch_size / self.batch_size
        rate = self.learning_rate * (times if self.optimizer == "sgd" else math.sqrt(times))
        return self.changed(batch_size=batch_size, learning_rate=rate, average=self.average**times)

    @classmethod
    def of(cls, **values: object) -> Self:
        """The default recipe with other values for some of its fields. Raises RecipeError."""
        return cls().changed(**values)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """A recipe from a .toml or .json file; fields that it leaves out have their defaults. Raises RecipeError."""
        return read_typed(path, cls, noun="recipe", error=RecipeError)


class Teacher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Distillation: larger networks are trained first, and the network learns their answers in place of the labels."""

    layers: Layers
    recipe: Recipe
    """Recipe of each teacher; its seed and its number of validation images are ignored."""
    networks: Positive = 1
    """Number of teachers, with seeds 0, 1, …; their answer is the mean of their probabilities."""


MILD = Distortion(elastic_px=0.5, rotation_rad=0.08, scale=0.06, shear=0.06, shift_px=1.0)
MEDIUM = Distortion(elastic_px=0.7, rotation_rad=0.1, scale=0.08, shear=0.08, shift_px=1.0)

QUICK = Recipe(epochs=8, average=0.99, distortion=MILD)
"""A good network in about a minute: what `make serve` trains."""

TEACHER = Teacher(
    layers=(
        Conv(32, kernel=5, activation="relu"),
        MaxPool(2),
        Conv(64, kernel=3, padding="same", activation="relu"),
        Conv(64, kernel=3, activation="relu"),
        MaxPool(2),
        Flatten(),
        Dropout(0.1),
        Dense(256, activation="relu"),
        Dropout(0.1),
        Dense(10),
    ),
    # the number of validation images is ignored, and stated because versions of earlier stores have it on their cards
    recipe=Recipe(epochs=20, average=0.999, distortion=MEDIUM, validation_images=5000),
    networks=2,
)

RECIPES = {
    "mlp": Recipe(epochs=80, average=0.999, distortion=MEDIUM),
    "mlp_deep": Recipe(epochs=80, average=0.999, distortion=MEDIUM),
    "lenet": Recipe(epochs=40, average=0.999, distortion=MEDIUM, teacher=TEACHER),
}
"""The default recipe of each network. Chosen on the validation images; LOG.md has the trials."""


def recipe_for(model: str, *, quick: bool = False) -> Recipe:
    """The recipe of a network by its name; the default for a network that has none of its own."""
    return QUICK if quick else RECIPES.get(model, Recipe())
