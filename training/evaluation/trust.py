"""How far the answers of a version can be trusted, measured on digits it has never seen and on pictures of none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
import numpy as np
from scipy.stats import rankdata

from training.answers import ACCEPTED, NOT_A_DIGIT, NOVELTY, UNCERTAIN
from training.drift import KINDS, Window
from training.errors import DigitsError
from training.evaluation.outliers import TEST, outliers
from training.evaluation.paired import highest_share
from training.evaluation.reliability import reliability
from training.evaluation.scores import columns, predict, score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.evaluation.outliers import Sources
    from training.images import Images
    from training.predictor import Predictor
    from training.store.card import Trust

COVERAGES = (0.95, 0.99, 0.995, 0.999)
CONFIDENCE = 0.95
"""Of the upper bound of the risk."""
RENDERED, UCI = 2000, 1797
"""So many digits as pictures; to render and prepare one takes 10 to 20 ms."""
WINDOW_ROWS, LOOK_EVERY = 500, 50


class NoTrust(DigitsError):
    """The card of a version does not say which of its answers can be trusted."""


class Accepted(msgspec.Struct, frozen=True):
    """What became of digits. Shares are 0…1."""

    share: float
    """Of all digits, the accepted ones."""
    uncertain: float
    not_a_digit: float
    answers: int
    """Accepted ones."""
    errors: int
    """Wrong ones among these."""
    risk: float
    """errors / answers."""
    risk_at_most: float
    """Its upper bound, 95 % sure (Clopper & Pearson 1934): these digits had no part in the choice of the limits."""


class Coverage(msgspec.Struct, frozen=True):
    """Prediction sets."""

    wanted: float
    found: float
    """The share of sets that hold the right digit, 0…1."""
    digits: float
    """In a set, on average."""


class Family(msgspec.Struct, frozen=True):
    """Pictures of no digit, of one kind."""

    name: str
    images: int
    auroc: float
    """How probable it is that one of them is farther from digits than a digit is, 0…1."""
    refused: float
    """The share that is refused as not a digit, 0…1."""
    accepted: float
    """The share that is accepted, 0…1; the others are uncertain."""


class Pictures(msgspec.Struct, frozen=True):
    """Digits that came as PNG pictures."""

    name: str
    images: int
    errors: int
    """Misread ones."""
    error: float
    """errors / images, 0…1."""


class Drifting(msgspec.Struct, frozen=True):
    """Drift of the digits in windows of 500, in random order: in their own, one writer may follow the other."""

    kind: str
    largest: float
    """Population stability index."""
    alarms: int
    """Of so many `looks` at the window, those that said drift."""
    looks: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

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
    """Figures, with what they were taken from."""

    figures: Figures
    computed: NDArray[np.float32]
    """Of the digits: columns [n, 16]."""
    wrong: NDArray[np.bool_]
    """Which of the digits were misread [n]."""
    outliers: Mapping[str, Images]
    novelty: Mapping[str, NDArray[np.float32]]
    """Of the outliers, by family."""

    @classmethod
    def of(cls, predictor: Predictor, digits: Digits, pictures: Mapping[str, Digits], sources: Sources = TEST) -> Self:
        """Of a version, on digits it has never seen, and on digits that came as `pictures`, by kind.

        Raises NoTrust for a card that says nothing of it.
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
    """Digits as they come out of pictures, by kind: 2,000 of these at most, and all of scikit-learn's."""
    from training.evaluation.rendered_digits import rendered_digits, uci_digits

    return {"rendered": rendered_digits(digits, RENDERED), "load_digits": uci_digits(UCI)}


def auroc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """How probable a value of `outside` is larger than one of `inside`, ties as halves (Mann & Whitney 1947), 0…1."""
    ranks = rankdata(np.concatenate([inside, outside]))[len(inside) :]
    return float((ranks.sum() - len(outside) * (len(outside) + 1) / 2) / (len(inside) * len(outside)))


def risk_by_share(certainty: NDArray[np.floating], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of wrong answers among the k most certain ones, for k = 1…n, by certainties [n]: [n].

    The risk-coverage curve of El-Yaniv & Wiener 2010.
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
        if window.rows == min(WINDOW_ROWS, len(computed)):  # of fewer the index is large by chance alone
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
