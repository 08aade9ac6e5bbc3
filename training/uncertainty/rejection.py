"""Conformal guarantees by held-out digits: selective prediction (which answers are accepted) and prediction sets.

A guarantee holds in expectation over all draws of held-out digits, for digits that are exchangeable with them: split
conformal prediction (Vovk, Gammerman & Shafer 2005). To keep it exact, nothing in here uses the temperature, which is
fitted to the same digits: certainty and sets come from the softmax of the plain logits.
"""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from training.answers import LOWEST_COVERAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

RISK: Final = 0.001
"""The default risk: the share, 0…1, of accepted answers that may be wrong."""
LEAST_ACCEPTED: Final = 0.9
"""The guarantee holds where at least this share of the answers, 0…1, is accepted."""
REFUSED: Final = 0.012
"""The share of digits, 0…1, that may be refused as not a digit: less than the wanted 0.015, since new digits differ."""


class Rejection(msgspec.Struct, frozen=True):
    """The certainty above which an answer is accepted, and the guarantee."""

    risk: float
    """The wanted share of wrong answers among accepted ones, 0…1."""
    certainty: float
    """The limit: an answer whose largest plain softmax probability is above it is accepted."""
    held_out: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """Number of held-out digits."""
    accepted: float
    """The share of the held-out digits that is accepted, 0…1."""
    errors: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """Number of wrong answers among the accepted held-out digits."""
    accepted_and_wrong: float
    """The guarantee: upper bound of the expected share, 0…1, of all answers that is accepted and wrong."""
    guaranteed: bool
    """Whether `risk` is guaranteed among accepted answers, where these are at least 0.9 of all."""


def control_risk(certainty: NDArray[np.floating], wrong: NDArray[np.bool_], risk: float = RISK) -> Rejection:
    """The lowest certainty that keeps the risk, 0 < risk < 1, by held-out answers: certainties [n], whether wrong [n].

    Conformal risk control (Angelopoulos, Bates, Fisch, Lei & Schuster 2024) of the loss "accepted and wrong", which
    falls as the limit rises: with `errors` of n held-out answers accepted and wrong, the expected loss of the next
    answer is at most (errors + 1) / (n + 1). The limit keeps this at or below 0.9 of the risk; then the error among
    accepted answers is at most the risk wherever at least 0.9 of all are accepted. Nothing is guaranteed where fewer of
    the held-out answers are accepted, or where n is so small that 1 / (n + 1) is above 0.9 of the risk; in the latter
    case no wrong held-out answer is accepted.
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
    """Prediction sets of any coverage: the thresholds by held-out digits."""

    held_out: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    lowest: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]
    """The lowest plain softmax probabilities of the right digit, ascending, of a tenth of the held-out digits."""

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: NDArray[np.uint8]) -> Sets:
        """The sets by the logits [n, 10] of held-out digits and their labels [n]."""
        n = len(labels)
        right = np.sort(_softmax(logits.astype(np.float64))[np.arange(n), labels])
        return cls(n, tuple(right[: ceil((1 - LOWEST_COVERAGE) * (n + 1))].tolist()))

    def limit(self, coverage: float) -> float:
        """The threshold: a digit with at least this plain probability is in the set; 0.9 <= coverage < 1.

        Split conformal prediction with the least ambiguous sets (Sadinle, Lei & Wasserman 2019). 0, so that every digit
        is in every set, where there are too few held-out digits for the coverage.
        """
        rank = self.held_out + 1 - ceil(coverage * (self.held_out + 1) - 1e-9)
        return self.lowest[min(rank, len(self.lowest)) - 1] if rank else 0.0


def uncalibrated(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Undoes temperature scaling: the probabilities [n, 10] by the same logits, not divided by `temperature`."""
    with np.errstate(divide="ignore"):  # a probability of exactly 0 stays 0
        return _softmax(np.log(np.asarray(probabilities, np.float64)) * temperature)


def prediction_sets(plain: NDArray[np.floating], limit: float) -> NDArray[np.bool_]:
    """Which digits are in the sets of pictures with plain probabilities [n, 10]: bool [n, 10]. No set is empty."""
    inside = plain >= limit
    inside[np.arange(len(plain)), plain.argmax(axis=1)] = True
    return inside


def upper_quantile(values: NDArray[np.floating], share: float) -> tuple[float, float]:
    """A limit that the next value exceeds with a probability of at most `share`, by exchangeable values [n].

    Returns the limit and the guaranteed probability, which is larger than `share` where n < 1 / share - 1. Split
    conformal prediction.
    """
    n = len(values)
    rank = min(ceil((1 - share) * (n + 1) - 1e-9), n)
    return float(np.sort(values)[rank - 1]), (n + 1 - rank) / (n + 1)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
