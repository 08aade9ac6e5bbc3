"""The gate: whether a challenger may replace the champion, by paired tests on pictures held out from both.

It tests non-inferiority on digits and superiority on corrections, and looks for wrong labels. Only counts and
statistics are here: nothing is trained, loaded or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from training.evaluation.paired import Pairs, highest_share, holm, p_better, p_not_worse
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.retraining.limits import Limits


class PairedAnswers(NamedTuple):
    """Answers of champion and challenger to the same pictures, and the labels; integers [n] each."""

    labels: NDArray[np.integer]
    champion: NDArray[np.integer]
    challenger: NDArray[np.integer]

    @property
    def pairs(self) -> Pairs:
        """The discordant pairs, with the champion as the old and the challenger as the new network."""
        return Pairs.of(self.champion, self.challenger, self.labels)

    @property
    def wrong(self) -> tuple[int, int]:
        """Numbers of wrong answers of the champion and of the challenger."""
        champion, challenger = (int(np.count_nonzero(given != self.labels)) for given in self[1:])
        return champion, challenger

    def and_also(self, other: PairedAnswers) -> PairedAnswers:
        """These answers and others, concatenated."""
        return PairedAnswers(*(np.concatenate(both) for both in zip(self, other, strict=True)))

    def of(self, digit: int) -> PairedAnswers:
        """The answers to pictures of a digit."""
        rows = self.labels == digit
        return PairedAnswers(*(given[rows] for given in self))


class PairedFigure(NamedTuple):
    """A figure of the champion and the same figure of the challenger."""

    champion: float
    challenger: float


class Criterion(msgspec.Struct, frozen=True):
    """A criterion of the gate, with its outcome."""

    name: str
    found: float
    limit: float
    passed: bool
    words: str
    """The outcome as a sentence: what was found and what is wanted."""


class Decision(msgspec.Struct, frozen=True):
    """The decision of the gate, with all criteria."""

    passed: bool
    criteria: tuple[Criterion, ...]

    @classmethod
    def by(cls, *criteria: Criterion) -> Decision:
        """The decision by criteria: passed if every criterion is."""
        return cls(all(criterion.passed for criterion in criteria), criteria)


def decide(
    digits: PairedAnswers,
    corrections: PairedAnswers,
    confidence: NDArray[np.floating],
    calibration: PairedFigure,
    p99_s: PairedFigure,
    limits: Limits,
) -> Decision:
    """The decision on a challenger that answered held-out digits and held-out corrections, at least one of each.

    `confidence` [n], 0…1, is the champion's confidence in its answer to each correction; `calibration` has the expected
    calibration errors; `p99_s` has the 99th percentiles of the latency of one picture, in seconds. All criteria must be
    met.
    """
    return Decision.by(
        enough(len(corrections.labels), limits),
        _not_worse(digits, limits),
        _better(corrections, limits),
        _nothing_traded(digits.and_also(corrections)),
        _no_class_worse(digits.and_also(corrections), limits),
        _learned(corrections, limits),
        _sure_ones_hold(corrections, confidence, limits),
        _not_relabelled(corrections, confidence, limits),
        _calibrated(calibration, limits),
        _fast(p99_s, limits),
    )


def enough(held_out: int, limits: Limits) -> Criterion:
    """Whether there are enough held-out corrections; known before anything is trained."""
    wanted = limits.corrections_wanted
    words = f"{held_out:,} held-out corrections, want at least {wanted:,}"
    return Criterion("enough corrections", held_out, wanted, held_out >= wanted, words)


def _not_worse(digits: PairedAnswers, limits: Limits) -> Criterion:
    """Non-inferiority on held-out digits."""
    p, (before, after) = p_not_worse(digits.pairs, limits.margin), digits.wrong
    words = (
        f"{after:,} of {len(digits.labels):,} held-out digits wrong, the champion {before:,}: "
        f"p = {p:.2g} for being worse by {limits.margin:.2%} or more, want below {limits.alpha:g}"
    )
    return Criterion("not worse on held-out digits", p, limits.alpha, p < limits.alpha, words)


def _better(corrections: PairedAnswers, limits: Limits) -> Criterion:
    p, (before, after) = p_better(corrections.pairs), corrections.wrong
    words = (
        f"{after:,} of {len(corrections.labels):,} held-out corrections wrong, the champion {before:,}: "
        f"p = {p:.2g} for being no better, want below {limits.alpha:g}"
    )
    return Criterion("better on held-out corrections", p, limits.alpha, p < limits.alpha, words)


def _nothing_traded(together: PairedAnswers) -> Criterion:
    """A gain on corrections must not be smaller than the loss on digits, even where both are within their limits."""
    before, after = together.wrong
    words = f"{after:,} wrong on both together, want at most {before:,}, as many as the champion"
    return Criterion("not worse on both together", after, before, after <= before, words)


def _no_class_worse(together: PairedAnswers, limits: Limits) -> Criterion:
    of_digits = [together.of(digit) for digit in range(CLASSES)]
    adjusted = holm([p_better(answers.pairs.reversed) for answers in of_digits])
    digit = int(np.argmin(adjusted))
    before, after = of_digits[digit].wrong
    words = (
        f"{after:,} of {len(of_digits[digit].labels):,} pictures of {digit} wrong, the champion {before:,}: "
        f"p = {adjusted[digit]:.2g} after Holm for all ten digits, want at least {limits.alpha:g}"
    )
    return Criterion("no digit worse", adjusted[digit], limits.alpha, adjusted[digit] >= limits.alpha, words)


def _learned(corrections: PairedAnswers, limits: Limits) -> Criterion:
    """Random wrong labels cannot be learned: the challenger contradicts about as many held-out ones as are wrong."""
    _, wrong = corrections.wrong
    total = len(corrections.labels)
    share = highest_share(wrong, total, limits.alpha)
    words = (
        f"{wrong:,} of {total:,} held-out corrections contradict the challenger that learned the others: "
        f"a share of at most {share:.1%}, want below {limits.unlearned:.1%}"
    )
    return Criterion("corrections follow a rule", share, limits.unlearned, share < limits.unlearned, words)


def _sure_ones_hold(corrections: PairedAnswers, confidence: NDArray[np.floating], limits: Limits) -> Criterion:
    """A sure champion is seldom wrong, even on new kinds of digits: where corrections contradict it, they are suspect.

    This also finds a backdoor: a mark on pictures that are all labelled with one digit, which the challenger would
    learn without other harm.
    """
    rows = confidence >= limits.sure
    sure, contradicted = int(rows.sum()), int((corrections.champion[rows] != corrections.labels[rows]).sum())
    share = contradicted / max(1, sure)
    words = (
        f"{contradicted:,} of the {sure:,} held-out corrections that the champion is sure of contradict it: "
        f"{share:.1%}, want at most {limits.contradicted:.1%}"
    )
    return Criterion("sure answers hold", share, limits.contradicted, share <= limits.contradicted, words)


def _not_relabelled(corrections: PairedAnswers, confidence: NDArray[np.floating], limits: Limits) -> Criterion:
    """Systematic wrong labels, such as 9 for every 4, can be learned; they show where the champion is sure.

    They are learned where they have the majority: of the pictures that the champion surely reads as 4, more are
    labelled 9 than 4. Honest digits of a new kind mostly agree with a sure champion.
    """
    rows = confidence >= limits.sure
    called = np.zeros((CLASSES, CLASSES), np.int64)  # [taken for, called]
    np.add.at(called, (corrections.champion[rows], corrections.labels[rows]), 1)
    others = [(seen, label) for seen in range(CLASSES) for label in range(CLASSES) if label != seen]
    adjusted = holm([p_better(Pairs(int(rows.sum()), int(called[a, a]), int(called[a, b]))) for a, b in others])
    worst = int(np.argmin(adjusted))
    seen, label = others[worst]
    words = (
        f"of the corrections that the champion surely takes for {seen}, {called[seen, label]:,} are called {label} "
        f"and {called[seen, seen]:,} are called {seen}: p = {adjusted[worst]:.2g} after Holm for all pairs, "
        f"want at least {limits.alpha:g}"
    )
    return Criterion("no digit called another", adjusted[worst], limits.alpha, adjusted[worst] >= limits.alpha, words)


def _calibrated(calibration: PairedFigure, limits: Limits) -> Criterion:
    limit = calibration.champion + limits.calibration_margin
    words = f"expected calibration error {calibration.challenger:.2%}, want at most {limit:.2%}"
    return Criterion("calibrated", calibration.challenger, limit, calibration.challenger <= limit, words)


def _fast(p99_s: PairedFigure, limits: Limits) -> Criterion:
    ratio = p99_s.challenger / p99_s.champion
    words = (
        f"99 % of single pictures within {1e3 * p99_s.challenger:.2f} ms, the champion {1e3 * p99_s.champion:.2f} ms: "
        f"{ratio:.2f} times as long, want at most {limits.latency_ratio:g}"
    )
    return Criterion("as fast", ratio, limits.latency_ratio, ratio <= limits.latency_ratio, words)
