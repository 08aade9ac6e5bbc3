"""A network and a recipe small enough for tests."""

from contextlib import contextmanager

from training.network.layers import Dense, Dropout, Flatten, Layers
from training.recipe import Recipe

TINY: Layers = (Flatten(), Dense(16, activation="relu"), Dropout(0.1), Dense(10))
QUICK = Recipe(epochs=3, validation_images=500)


def unwatched(**progress) -> None:
    """A `Watch` that does nothing."""


@contextmanager
def nobody_watching(model, recipe):
    """A `Watching` that shows nothing."""
    yield unwatched
