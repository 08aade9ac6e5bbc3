"""A setup: all that decides what a version becomes, but the seed. Versions of one setup differ by chance alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from training.store import CHAMPION
from training.store.manifest import StoreError

if TYPE_CHECKING:
    from training.network.layers import Layers
    from training.recipe import Recipe
    from training.store import Store
    from training.store.card import Card


class Setup(NamedTuple):
    """A model's name with layers, recipe and data: what cards that differ by the seed alone have in common."""

    model: str
    layers: Layers
    recipe: Recipe
    """Its seed is 0, whatever the seeds of the versions."""
    data: str
    """The SHA-256 of the digits, training and validation together."""

    @classmethod
    def of(cls, card: Card) -> Self:
        """The setup of a version."""
        return cls(card.model, card.layers, msgspec.structs.replace(card.recipe, seed=0), card.data.sha256)

    def versions(self, store: Store) -> dict[int, int]:
        """Versions of this setup in a store by their seed, in the order of the seeds.

        Of equal seeds it is the champion, which is what answers, or else the newest one.
        A version whose card is damaged is none of them: nobody can tell what it was.
        """
        if self.model not in store.models():
            return {}
        found = {}
        champion = store.aliases(self.model).get(CHAMPION)
        for version in sorted(store.versions(self.model), key=lambda version: (version == champion, version)):
            try:
                card = store.card(self.model, version)
            except StoreError:
                continue
            if Setup.of(card) == self:
                found[card.recipe.seed] = version
        return dict(sorted(found.items()))
