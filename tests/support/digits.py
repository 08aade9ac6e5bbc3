"""Digits of noise, and what reading others comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from training.data.digits import DataError, Digits

if TYPE_CHECKING:
    from collections.abc import Callable


def some(n: int = 20, seed: int = 0) -> Digits:
    """n digits of noise, every class equally often."""
    rng = np.random.default_rng(seed)
    return Digits(rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10)


def same(found: Digits, wanted: Digits) -> bool:
    return np.array_equal(found.images, wanted.images) and np.array_equal(found.labels, wanted.labels)


def problem(call: Callable[[], object]) -> str:
    """The text of the DataError that a call raises."""
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)
