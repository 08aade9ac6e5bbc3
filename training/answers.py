"""What a compiled network says of each picture, as columns of one array, and read as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CERTAINTY, NOVELTY, INK = range(CLASSES, CLASSES + 3)
COLUMNS: Final = CLASSES + 3
"""The probabilities of the ten digits, then certainty, novelty, and the mean ink of the picture, 0…1."""
LOWEST_COVERAGE: Final = 0.9
"""Sets of digits can be asked for from this coverage on; below it, the most probable digit alone would do."""
ACCEPTED, UNCERTAIN, NOT_A_DIGIT = range(3)
REASONS: Final = (None, "uncertain", "not_a_digit")
"""Why an answer is not accepted, by verdict."""


class Answers(NamedTuple):
    """Answers to n pictures."""

    probabilities: NDArray[np.float32]
    """[n, 10], calibrated."""
    verdicts: NDArray[np.uint8] | None
    """[n]: ACCEPTED, UNCERTAIN or NOT_A_DIGIT; None from a version whose card says nothing of that."""

    @property
    def digits(self) -> NDArray[np.intp]:
        """The most probable digits [n]."""
        return self.probabilities.argmax(axis=1)


def probabilities_of(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities [n, 10] among columns [n, 13], in memory of their own."""
    return np.ascontiguousarray(columns[:, :CLASSES])
