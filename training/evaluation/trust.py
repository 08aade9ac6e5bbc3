"""Trust: risk and coverage of accepted answers, prediction sets, out-of-distribution detection, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
import numpy as np
from scipy.stats import rankdata

from training.answers import ACCEPTED, NOT_A_DIGIT, NOVELTY, UNCERTAIN
from training.drift import KINDS, Window
from training.errors import DigitsError
from training.evaluation.outliers import outliers
from training.evaluation.paired import highest_share
from training.evaluation.reliability import reliability
from training.evaluation.scores import columns, predict, score
from training.photos.sources import TEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.images import Images
    from training.photos.sources import Sources
    from training.predictor import Predictor
    from training.store.card import Trust

COVERAGES = (0.95, 0.99, 0.995, 0.999)
CONFIDENCE = 0.95
"""Confidence of the upper bound of the risk."""
RENDERED, UCI = 2000, 1797
"""Numbers of digits that are rendered as pictures; each takes 10 to 20 ms."""
WINDOW_ROWS, LOOK_EVERY = 500, 50


class NoTrust(DigitsError):
    """The card of a version has no limits of accepted answers."""


class Accepted(msgspec.Struct, frozen=True):
    """Verdicts on digits. Shares are 0…1."""

    share: float
    """Share of accepted answers (coverage)."""
    uncertain: float
    not_a_digit: float
    answers: int
    """Number of accepted answers."""
    errors: int
    """Number of wrong answers among these."""
    risk: float
    """errors / answers."""
    risk_at_most: float
    """Upper 95 % confidence bound of the risk (Clopper & Pearson 1934): the limits were chosen on other digits."""


class Coverage(msgspec.Struct, frozen=True):
    """Prediction sets of one coverage."""

    wanted: float
    found: float
    """The share of sets that hold the right digit, 0…1."""
    digits: float
    """Mean number of digits in a set."""


class Family(msgspec.Struct, frozen=True):
    """Out-of-distribution pictures of one kind."""

    name: str
    images: int
    auroc: float
    """Probability that one of them has a larger novelty than a digit has, 0…1."""
    refused: float
    """The share that is refused as not a digit, 0…1."""
    accepted: float
    """The share that is accepted, 0…1; the others are uncertain."""


class Pictures(msgspec.Struct, frozen=True):
    """The error on digits rendered as PNG pictures."""

    name: str
    images: int
    errors: int
    """Number of misread digits."""
    error: float
    """errors / images, 0…1."""


class Drifting(msgspec.Struct, frozen=True):
    """Drift of the digits in windows of 500, in random order: the original order groups them by writer."""

    kind: str
    largest: float
    """Population stability index."""
    alarms: int
    """Number of `looks` at the window that found drift."""
    looks: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of `evaluate --trust` and of the report."""

    images: int
    calibration_error: float
    """Expected calibration error, 15 bins of equally many answers, 0…1."""
    accepted: Accepted
    sets: tuple[Coverage, ...]
    families: tuple[Family, ...]
    mean_auroc: float
    pictures: tuple[Pictures, ...]
    drift: tuple[Drifting, ...]


class Measured(NamedTuple):
    """The figures, with the arrays that they were computed from."""

    figures: Figures
    computed: NDArray[np.float32]
    """Columns [n, 16] of the digits."""
    wrong: NDArray[np.bool_]
    """Whether a digit was misread [n]."""
    outliers: Mapping[str, Images]
    novelty: Mapping[str, NDArray[np.float32]]
    """Novelty of the outliers, by family."""

    @classmethod
    def of(cls, predictor: Predictor, digits: Digits, pictures: Mapping[str, Digits], sources: Sources = TEST) -> Self:
        """The figures of a version on digits outside of its training, and on digits rendered as `pictures`, by kind.

        Raises NoTrust for a card without limits.
        """
        if (trust := predictor.card.trust) is None:
            raise NoTrust(
                f"{predictor.name} version {predictor.version} has a card of format {predictor.card.format}, which "
                "does not say which answers can be trusted: train it anew"
            )
        computed = columns(predictor, digits)
        answers = predictor.read(computed)
        wrong = answers.digits != digits.labels
        families = outliers(digits.images, sources)
        of_families = {name: predictor.columns(images) for name, images in families.items()}
        found = tuple(_family(name, of, computed, predictor) for name, of in of_families.items())
        verdicts = np.asarray(answers.verdicts)
        figures = Figures(
            images=len(digits),
            calibration_error=reliability(answers.probabilities, digits.labels).error,
            accepted=_accepted(verdicts, wrong),
            sets=tuple(_coverage(predictor, answers.probabilities, digits, wanted) for wanted in COVERAGES),
            families=found,
            mean_auroc=float(np.mean([family.auroc for family in found])),
            pictures=tuple(_pictures(name, predictor, of) for name, of in pictures.items()),
            drift=_drift(trust, computed),
        )
        return cls(figures, computed, wrong, families, {name: of[:, NOVELTY] for name, of in of_families.items()})


def as_pictures(digits: Digits) -> dict[str, Digits]:
    """Digits rendered as pictures and prepared again, by kind: at most 2,000 of these, and all of scikit-learn's."""
    from training.evaluation.rendered_digits import rendered_digits, uci_digits

    return {"rendered": rendered_digits(digits, RENDERED), "load_digits": uci_digits(UCI)}


def auroc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """The probability, 0…1, that a value outside is larger than one inside, ties as halves (Mann & Whitney 1947)."""
    ranks = rankdata(np.concatenate([inside, outside]))[len(inside) :]
    return float((ranks.sum() - len(outside) * (len(outside) + 1) / 2) / (len(inside) * len(outside)))


def risk_by_share(certainty: NDArray[np.floating], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The risk-coverage curve [n] (El-Yaniv & Wiener 2010), by certainties [n] and errors [n].

    It has the share of wrong answers among the k most certain ones, for k = 1…n.
    """
    order = np.argsort(-certainty, kind="stable")
    return np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)


def _accepted(verdicts: NDArray[np.uint8], wrong: NDArray[np.bool_]) -> Accepted:
    accepted = verdicts == ACCEPTED
    answers, errors = int(accepted.sum()), int((accepted & wrong).sum())
    return Accepted(
        share=float(accepted.mean()),
        uncertain=float((verdicts == UNCERTAIN).mean()),
        not_a_digit=float((verdicts == NOT_A_DIGIT).mean()),
        answers=answers,
        errors=errors,
        risk=errors / max(1, answers),
        risk_at_most=highest_share(errors, answers, 1 - CONFIDENCE) if answers else 1.0,
    )


def _coverage(predictor: Predictor, probabilities: NDArray[np.float32], digits: Digits, wanted: float) -> Coverage:
    sets = np.asarray(predictor.prediction_sets(probabilities, wanted))  # [n, 10]
    held = sets[np.arange(len(digits)), digits.labels]
    return Coverage(wanted, float(held.mean()), float(sets.sum(axis=1).mean()))


def _family(name: str, of: NDArray[np.float32], digits: NDArray[np.float32], predictor: Predictor) -> Family:
    verdicts = np.asarray(predictor.read(of).verdicts)
    return Family(
        name=name,
        images=len(of),
        auroc=auroc(digits[:, NOVELTY], of[:, NOVELTY]),
        refused=float((verdicts == NOT_A_DIGIT).mean()),
        accepted=float((verdicts == ACCEPTED).mean()),
    )


def _pictures(name: str, predictor: Predictor, of: Digits) -> Pictures:
    metrics = score(predict(predictor, of), of.labels)
    return Pictures(name, metrics.images, metrics.errors, metrics.error)


def _drift(trust: Trust, computed: NDArray[np.float32]) -> tuple[Drifting, ...]:
    window = Window(trust.reference, WINDOW_ROWS)
    computed = computed[np.random.default_rng(0).permutation(len(computed))]
    seen = []
    for first in range(0, len(computed), LOOK_EVERY):
        window.add(computed[first : first + LOOK_EVERY])
        if window.rows == min(WINDOW_ROWS, len(computed)):  # with fewer rows the index is large by chance alone
            seen.append(window.drift())
    return tuple(
        Drifting(
            kind=kind,
            largest=max(index for index, _ in (found[kind] for found in seen)),
            alarms=sum(alarm for _, alarm in (found[kind] for found in seen)),
            looks=len(seen),
        )
        for kind in KINDS
    )
