"""What a compiled network says of each picture, as columns of one array, and read as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CERTAINTY, NOVELTY, INK, CONFIDENCE, DIGIT, VERDICT = range(CLASSES, CLASSES + 6)
COLUMNS: Final = CLASSES + 6
"""The probabilities of the ten digits; certainty, novelty, and the mean ink of the picture, 0…1; the largest of the
probabilities, and whose it is; whether that can be acted on, or NaN where there is a number that is not finite."""
LOWEST_COVERAGE: Final = 0.9
"""Sets of digits can be asked for from this coverage on; below it, the most probable digit alone would do."""
ACCEPTED, UNCERTAIN, NOT_A_DIGIT = range(3)
REASONS: Final = (None, "uncertain", "not_a_digit")
"""Why an answer is not accepted, by verdict."""
EVERYTHING: Final = (-np.inf, np.inf)
"""Limits of certainty and novelty that accept everything."""


class Answers(NamedTuple):
    """Answers to n pictures."""

    columns: NDArray[np.float32]
    """[n, 16]"""
    judged: bool = True
    """Whether the verdicts mean anything; a version whose card says nothing of that accepts everything."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, 10], calibrated."""
        return probabilities_of(self.columns)

    @property
    def digits(self) -> NDArray[np.uint8]:
        """The most probable digits [n]."""
        return self.columns[:, DIGIT].astype(np.uint8)

    @property
    def verdicts(self) -> NDArray[np.uint8] | None:
        """[n]: ACCEPTED, UNCERTAIN or NOT_A_DIGIT; None where they mean nothing."""
        return self.columns[:, VERDICT].astype(np.uint8) if self.judged else None


def probabilities_of(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities [n, 10] among columns [n, 16], in memory of their own."""
    return np.ascontiguousarray(columns[:, :CLASSES])
