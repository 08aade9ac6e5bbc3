"""The table of families: digits and numbers as people photograph them, and pictures of what is no digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.photos.numbers import numbers
from training.photos.one_digit import one_digit
from training.photos.outliers import outliers
from training.photos.sources import DEVELOPMENT, TEST

if TYPE_CHECKING:
    from training.photos.family import Family
    from training.photos.sources import Sources


def families(sources: Sources) -> dict[str, Family]:
    """All families by name; fonts, photographs and what else shows no digit are those of the sources."""
    return {family.name: family for family in (*one_digit(), *numbers(sources), *outliers(sources))}


FAMILIES = families(DEVELOPMENT)
"""For choices, apart from those that are held out."""
TEST_FAMILIES = families(TEST)
"""For figures: nothing is chosen by what shows no digit here."""
