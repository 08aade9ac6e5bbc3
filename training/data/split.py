"""The validation split, stratified by class, and fixed by its own seed: the same for every training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from training.data.digits import DataError, Examples
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

AnyExamples = TypeVar("AnyExamples", bound=Examples)
SEED = 1998  # the year of MNIST; independent of the training seed on purpose


def split(digits: AnyExamples, validation: int = 5000, seed: int = SEED) -> tuple[AnyExamples, AnyExamples]:
    """(train, validation): exactly `validation` digits held out, each class in its share, both in original order.

    Raises DataError unless 1 <= validation < n.
    """
    if not 1 <= validation < len(digits):
        raise DataError(f"validation is {validation}, want 1 to {len(digits) - 1}: there are {len(digits)} digits")
    # NumPy guarantees the raw stream of a bit generator for ever, but not permutation() (NEP 19). A split that changed
    # with a release of NumPy would put digits that a checkpoint was calibrated on into training.
    order = np.argsort(np.random.PCG64(seed).random_raw(len(digits)), kind="stable")
    shuffled = digits.labels[order]
    held_out = np.zeros(len(digits), dtype=np.bool_)
    for digit, share in enumerate(_shares(digits, validation)):
        held_out[order[shuffled == digit][:share]] = True
    return digits.take(~held_out), digits.take(held_out)


def _shares(digits: Examples, validation: int) -> NDArray[np.int64]:
    """How many digits of each class are held out, int64 [10] with sum `validation`: largest remainders round up."""
    shares, remainders = np.divmod(np.bincount(digits.labels, minlength=CLASSES) * validation, len(digits))
    left = validation - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:left]] += 1
    return shares.astype(np.int64)
