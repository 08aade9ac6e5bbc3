"""The validation split, stratified by class, and fixed by its own seed: the same for every training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from training.data.digits import DataError, Examples
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

AnyExamples = TypeVar("AnyExamples", bound=Examples)
HELD_OUT = 5000
"""Validation images of 50,000 or more digits; of fewer digits it is a tenth."""
SEED = 1998  # the year of MNIST; independent of the training seed on purpose


def split(digits: AnyExamples, validation: int | None = None, seed: int = SEED) -> tuple[AnyExamples, AnyExamples]:
    """(train, validation): exactly `validation` digits held out, each class in its share, both in original order.

    Without `validation` it is `held_out(n)`. Raises DataError unless 1 <= validation < n.
    """
    validation = held_out(len(digits), validation)
    if not 1 <= validation < len(digits):
        raise DataError(
            f"there are {len(digits)} digits, and {validation} of them would be held out for validation, want 1 to "
            f"{len(digits) - 1} (--validation-images)"
        )
    # NumPy guarantees the raw stream of a bit generator for ever, but not permutation() (NEP 19). A split that changed
    # with a release of NumPy would put digits that a checkpoint was calibrated on into training.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(digits)), kind="stable")
    shuffled = digits.labels[order]
    chosen = np.zeros(len(digits), dtype=np.bool_)
    for digit, share in enumerate(_shares(digits, validation)):
        chosen[order[shuffled == digit][:share]] = True
    return digits.take(~chosen), digits.take(chosen)


def held_out(digits: int, wanted: int | None = None) -> int:
    """The number of validation images among so many digits: `wanted`; for None HELD_OUT, or a tenth if that is less."""
    return min(HELD_OUT, max(1, digits // 10)) if wanted is None else wanted


def _shares(digits: Examples, validation: int) -> NDArray[np.int64]:
    """How many digits of each class are held out, int64 [10] with sum `validation`: largest remainders round up."""
    shares, remainders = np.divmod(np.bincount(digits.labels, minlength=CLASSES) * validation, len(digits))
    left = validation - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:left]] += 1
    return shares.astype(np.int64)
