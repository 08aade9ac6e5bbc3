"""Errors on photos of handwriting, by family: through the preparation and the network that serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from training.answers import ACCEPTED, DIGIT, REASONS, VERDICT
from training.photos.families import TEST_FAMILIES
from training.photos.family import Kind, photos
from training.picture import NoInk, find_line, levels
from training.reading import read_digit, read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.Image import Image

    from training.data.digits import Digits
    from training.images import Images
    from training.photos.family import Family
    from training.predictor import Predictor

SEED = 0


class FamilyErrors(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the photos of a family."""

    name: str
    title: str
    kind: Kind
    held_out: bool
    """Whether no choice was made on the family."""
    photos: int
    refused: int
    """Number of photos in which nothing was found (422)."""
    wrong: int
    """Number of photos that were not refused and show another digit than the one read, or none."""
    accepted: int
    accepted_and_wrong: int
    reasons: dict[str, int]
    """Why the other answers were not accepted."""
    lines_right: int | None
    """Of several digits: number of photos whose digits were all read right, as a line; None for other kinds."""


class Seen(NamedTuple):
    """A photo, what the network saw of it, and what was read."""

    image: Image
    pixels: Images | None
    """uint8 [28, 28]; None if nothing was found."""
    text: str
    """What it shows."""
    read: int | None
    verdict: int
    line: str | None
    """The digits read as a line, for photos of several."""


def see(predictor: Predictor, family: Family, digits: Digits, count: int, seed: int = SEED) -> Iterator[Seen]:
    """`count` photos of a family made from `digits`, as the service reads them."""
    for image, text in photos(family, digits, count, seed):
        try:
            line = find_line(levels(image), alone=family.kind != "digits")
        except NoInk:
            yield Seen(image, None, text, None, ACCEPTED, None)
            continue
        answers = predictor.read(predictor.columns(line.images))
        reading = read_digit(line, answers)
        row, columns = reading.rows[0], reading.answers.columns[0]
        whole = None
        if family.kind == "digits":
            whole = read_line(line, answers).text
        yield Seen(image, line.pieces[row].image, text, int(columns[DIGIT]), int(columns[VERDICT]), whole)


def errors_of(
    predictor: Predictor, digits: Digits, count: int, watch: Callable[[str], None] = lambda _: None
) -> list[FamilyErrors]:
    """The errors on `count` photos of each family; `watch` is called after each photo with its family's title."""
    found = []
    for family in TEST_FAMILIES.values():
        seen = []
        for one in see(predictor, family, digits, count):
            seen.append(one._replace(image=None))  # type: ignore[arg-type] # photos are large
            watch(family.title)
        found.append(_errors(family, seen))
    return found


def _errors(family: Family, seen: list[Seen]) -> FamilyErrors:
    told = [one for one in seen if one.read is not None]
    wrong = [str(one.read) != one.text for one in told]
    accepted = [one.verdict == ACCEPTED for one in told]
    reasons = [REASONS[one.verdict] or "" for one in told if one.verdict != ACCEPTED]
    return FamilyErrors(
        name=family.name,
        title=family.title,
        kind=family.kind,
        held_out=family.held_out,
        photos=len(seen),
        refused=len(seen) - len(told),
        wrong=sum(wrong),
        accepted=sum(accepted),
        accepted_and_wrong=int(np.logical_and(wrong, accepted).sum()),
        reasons={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        lines_right=sum(one.line == one.text for one in seen) if family.kind == "digits" else None,
    )
