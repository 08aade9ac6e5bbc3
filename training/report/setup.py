"""A setup: a model's name, layers, recipe and data, without the seed. Versions of a setup differ by the seed alone."""

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
    """The part of a card that does not depend on the seed."""

    model: str
    layers: Layers
    recipe: Recipe
    """The recipe with seed 0 in place of the seeds of the versions."""
    data: str
    """Fingerprint of the digits, training and validation together."""

    @classmethod
    def of(cls, card: Card) -> Self:
        """The setup of a version."""
        return cls(card.model, card.layers, msgspec.structs.replace(card.recipe, seed=0), card.data.sha256)

    def versions(self, store: Store) -> dict[int, int]:
        """The versions of this setup in a store by seed, in the order of the seeds.

        Among versions with equal seeds it is the champion, or else the newest one. Versions with a damaged card are
        left out, since their setup is not known.
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
