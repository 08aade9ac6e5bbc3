"""Outputs of an exported version: their names, what the file says of itself, and the proof by the golden pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.answers import (
    ACCEPTED,
    CERTAINTY,
    CONFIDENCE,
    DIGIT,
    NOT_A_DIGIT,
    NOVELTY,
    REASONS,
    UNCERTAIN,
    VERDICT,
)
from training.errors import DigitsError
from training.images import CLASSES
from training.predictor import off_golden

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.store.card import Card

INPUT_NAME: Final = "images"
"""The input: uint8 [n, 28, 28], any n >= 1; 0 is background, 255 is ink."""
OUTPUTS: Final = {
    "probabilities": slice(CLASSES),
    "digit": DIGIT,
    "confidence": CONFIDENCE,
    "certainty": CERTAINTY,
    "novelty": NOVELTY,
    "verdict": VERDICT,
}
"""Name of an output -> which of the columns of `training.answers` it is: float32 [n, 10], and others [n]."""
WHOLE: Final = frozenset({"digit", "verdict"})
"""Outputs that are int32; the others are float32."""
NOT_FINITE: Final = -1
"""The verdict where a number is not finite."""


class ExportError(DigitsError):
    """An exported version does not answer as the version in the store."""


def names(card: Card) -> tuple[str, ...]:
    """The outputs of a version: certainty, novelty and verdict only if its card has limits for accepted answers."""
    return tuple(OUTPUTS)[: None if card.trust else 3]


def metadata(model: str, version: int, card: Card) -> dict[str, str]:
    """What the file says of itself: model, version, the fingerprint of its training digits, when it was trained."""
    said = {
        "model": model,
        "version": str(version),
        "digits_sha256": card.data.sha256,
        "created": card.created.isoformat(),
        "code": card.code,
    }
    if card.trust:
        verdicts = (f"{verdict} {REASONS[verdict] or 'accepted'}" for verdict in (ACCEPTED, UNCERTAIN, NOT_A_DIGIT))
        said["verdicts"] = ", ".join(verdicts)
    return said


def prove(card: Card, found: dict[str, NDArray[Any]]) -> None:
    """Compares an exported version's outputs for the golden pictures with the answers on the card.

    The tolerance is that of loading a version; digit, confidence and verdict must follow exactly from the other
    outputs. Raises ExportError.
    """
    probabilities = np.asarray(found["probabilities"], np.float32)
    exact = {"digit": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1)}
    if card.trust:
        certainty, novelty = np.array(card.trust.limits, np.float32)
        uncertain = np.where(found["certainty"] > certainty, ACCEPTED, UNCERTAIN)
        exact["verdict"] = np.where(found["novelty"] > novelty, NOT_A_DIGIT, uncertain)
    problem = off_golden(card.golden, probabilities, found.get("novelty"))
    for name, wanted in exact.items():
        if not problem and not np.array_equal(found[name], wanted):
            problem = f"the {name} of a golden picture does not follow from the other outputs"
    if problem:
        raise ExportError(f"the exported network does not answer as {card.model} did when it was published: {problem}")
