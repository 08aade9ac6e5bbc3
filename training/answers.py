"""Answers of a network: the 16 columns that it computes for each picture, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CERTAINTY, NOVELTY, INK, CONFIDENCE, DIGIT, VERDICT = range(CLASSES, CLASSES + 6)
COLUMNS: Final = CLASSES + 6
"""The calibrated probabilities of the ten digits; then CERTAINTY, the largest uncalibrated probability; NOVELTY, what
the out-of-distribution detector says; INK, the mean ink, 0…1; CONFIDENCE, the largest calibrated probability; DIGIT,
the digit that has it; VERDICT, one of those below, or NaN where a number is not finite."""
LOWEST_COVERAGE: Final = 0.9
"""The lowest coverage of a prediction set; for a lower one, the most probable digit alone would do."""
ACCEPTED, UNCERTAIN, NOT_A_DIGIT, UNCLEAR_PICTURE, SEVERAL_DIGITS = range(5)
REASONS: Final = (None, "uncertain", "not_a_digit", "unclear_picture", "several_digits")
"""By verdict: why an answer is not accepted. The last two are about how a digit was found in a picture."""
EVERYTHING: Final = (-np.inf, np.inf)
"""Limits of certainty and novelty that accept every answer."""


class Answers(NamedTuple):
    """Answers to n pictures."""

    columns: NDArray[np.float32]
    """[n, 16]"""
    judged: bool = True
    """False for a version whose card has no limits: it accepts every answer, and its verdicts mean nothing."""

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
        """[n]: ACCEPTED, UNCERTAIN or NOT_A_DIGIT; None unless `judged`."""
        return self.columns[:, VERDICT].astype(np.uint8) if self.judged else None


def probabilities_of(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities [n, 10] among columns [n, 16], in memory of their own."""
    return np.ascontiguousarray(columns[:, :CLASSES])
