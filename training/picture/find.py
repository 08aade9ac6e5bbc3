"""Finds the digit in a picture: every way to see it is tried, and the most plausible group of parts is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from training.picture.hollow import hollow
from training.picture.levels import INKS, NoInk
from training.picture.light import polarity
from training.picture.plausibility import describe, plausibility
from training.picture.view import views

if TYPE_CHECKING:
    from training.picture.levels import Ink, Levels
    from training.picture.plausibility import Features
    from training.picture.view import View

SEARCHED: Final = 256
"""The digit is looked for in a picture whose longer side has at most so many pixels."""
LINE: Final = 128
"""Or whose shorter side has at most so many: on a long line digits are small."""
RIM: Final = 30.0
"""Times the share of its outline that has ink on both sides: so much lower is a candidate's score (LOG.md)."""


class Candidate(NamedTuple):
    """A group of parts of a view that may be the digit."""

    view: View
    group: list[int]
    features: Features
    score: float
    hollow: float = 0.0
    """The share of its outline, 0…1, that has ink on both sides; only `find` computes it, for few candidates."""


def find(grey: Levels, ink: Ink | None = None) -> Candidate:
    """The digit in a picture of the size that `reduced` makes. Raises NoInk."""
    best = None
    for candidate in sorted(candidates(grey, ink), key=lambda candidate: candidate.score, reverse=True):
        if best and candidate.score <= best.score:
            break
        share = hollow(candidate.view, candidate.group, grey)
        candidate = candidate._replace(score=candidate.score - RIM * share, hollow=share)
        if not best or candidate.score > best.score:
            best = candidate
    if best:
        return best
    raise NoInk(ink or polarity(grey))


def candidates(grey: Levels, ink: Ink | None) -> list[Candidate]:
    """All groups of parts that may be the digit, in all views."""
    expected = ink or polarity(grey)
    found = []
    for view in views(grey, [ink] if ink else INKS):
        for seed in view.parts.seeds():
            group = view.parts.group(seed)
            features = describe(view, group, expected=view.ink == expected)
            found.append(Candidate(view, group, features, plausibility(features)))
    return found


def reduced(grey: Levels) -> tuple[Levels, int]:
    """The picture that the digit is looked for in, and how many times smaller it is."""
    factor = max(min(-(-max(grey.shape) // SEARCHED), -(-min(grey.shape) // LINE)), 1)
    return (np.asarray(Image.fromarray(grey).reduce(factor)), factor) if factor > 1 else (grey, 1)
