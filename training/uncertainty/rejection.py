"""Answers that may be acted on, and sets of digits that hold the right one: what held-out digits guarantee of both.

A guarantee holds for digits that are exchangeable with the held-out ones, drawn as they were, and on average over all
draws of these: that is what split conformal prediction gives (Vovk, Gammerman & Shafer 2005), for one set of held-out
digits and all that come after it. To keep it exact, nothing in here looks at the temperature, which is fitted to the
same digits: certainty and sets come from the softmax of the plain logits.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from training.answers import LOWEST_COVERAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

RISK: Final = 0.001
"""So many of the accepted answers may be wrong, as a share, unless told otherwise."""
LEAST_ACCEPTED: Final = 0.9
"""The guarantee is for at least so large a share of accepted answers."""
REFUSED: Final = 0.005
"""So many digits may be refused as being none, as a share: half of what is wanted, for the digits to come differ."""


class Rejection(msgspec.Struct, frozen=True):
    """From which certainty on an answer is accepted, and what that guarantees."""

    risk: float
    """The share of wrong answers among accepted ones that was asked for, 0…1."""
    certainty: float
    """The largest plain softmax probability that is not enough."""
    held_out: int
    """How many digits decided on it."""
    accepted: float
    """The share of them that is accepted, 0…1."""
    errors: int
    """How many of these are wrong."""
    accepted_and_wrong: float
    """The guarantee: in expectation at most this share of all answers is accepted and wrong, 0…1."""
    guaranteed: bool
    """Whether `risk` is kept: among accepted answers that are at least 0.9 of all, no more than that is wrong."""


def control_risk(certainty: NDArray[np.floating], wrong: NDArray[np.bool_], risk: float = RISK) -> Rejection:
    """The lowest certainty that keeps the risk, 0 < risk < 1, by held-out answers: certainties [n], whether wrong [n].

    Conformal risk control (Angelopoulos, Bates, Fisch, Lei & Schuster 2024) of the loss "accepted and wrong", which
    falls as the limit rises: with `errors` of the n accepted and wrong, so is at most (errors + 1) / (n + 1) of what
    comes in expectation. Held at 0.9 of the risk, that leaves at most the risk among accepted answers wherever at least
    0.9 of all are accepted; where fewer held-out ones are, nothing is guaranteed. Nor is it where (0 + 1) / (n + 1) is
    above it already, with too few digits: then no error of the held-out ones is accepted, and the guarantee is not
    claimed.
    """
    n = len(certainty)
    room = floor(LEAST_ACCEPTED * risk * (n + 1) - 1 + 1e-9)
    of_wrong = np.sort(certainty[wrong])[::-1]
    errors = max(room, 0)
    limit = float(of_wrong[errors]) if errors < len(of_wrong) else 0.0
    accepted = certainty > limit
    found = int(np.count_nonzero(wrong & accepted))
    share = float(accepted.mean())
    return Rejection(
        risk=risk,
        certainty=limit,
        held_out=n,
        accepted=share,
        errors=found,
        accepted_and_wrong=(errors + 1) / (n + 1),
        guaranteed=room >= 0 and share >= LEAST_ACCEPTED,
    )


class Sets(msgspec.Struct, frozen=True):
    """What makes sets of digits of any coverage."""

    held_out: int
    lowest: tuple[float, ...]
    """The lowest plain softmax probabilities of the right digit, ascending: those of a tenth of the held-out digits."""

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: NDArray[np.uint8]) -> Sets:
        """By the logits [n, 10] of held-out digits and the right ones [n]."""
        n = len(labels)
        right = np.sort(_softmax(logits.astype(np.float64))[np.arange(n), labels])
        return cls(n, tuple(right[: ceil((1 - LOWEST_COVERAGE) * (n + 1))].tolist()))

    def limit(self, coverage: float) -> float:
        """The lowest probability with which a digit is in the sets of a coverage, 0.9 <= coverage < 1.

        Split conformal prediction with the least ambiguous sets (Sadinle, Lei & Wasserman 2019). 0 where there are too
        few held-out digits for the coverage: then every digit is in every set.
        """
        rank = self.held_out + 1 - ceil(coverage * (self.held_out + 1) - 1e-9)
        return self.lowest[min(rank, len(self.lowest)) - 1] if rank else 0.0


def uncalibrated(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """The probabilities [n, 10] that the same logits give when they are not divided by `temperature`."""
    with np.errstate(divide="ignore"):  # a probability of exactly 0 stays one
        return _softmax(np.log(np.asarray(probabilities, np.float64)) * temperature)


def prediction_sets(plain: NDArray[np.floating], limit: float) -> NDArray[np.bool_]:
    """Which digits are in the sets of pictures with plain probabilities [n, 10]: [n, 10]. None is empty."""
    inside = plain >= limit
    inside[np.arange(len(plain)), plain.argmax(axis=1)] = True
    return inside


def upper_quantile(values: NDArray[np.floating], share: float) -> tuple[float, float]:
    """A limit that the next value exceeds with a probability of at most `share`, by values [n] drawn like it.

    With the probability that is kept; it is larger than `share` where n < 1 / share - 1. Split conformal prediction.
    """
    n = len(values)
    rank = min(ceil((1 - share) * (n + 1) - 1e-9), n)
    return float(np.sort(values)[rank - 1]), (n + 1 - rank) / (n + 1)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
