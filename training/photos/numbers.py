"""Numbers: families of several digits on one line, handwritten and printed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from training.photos import held_out, light, paper, writing
from training.photos.camera import SCREEN
from training.photos.canvas import pick
from training.photos.drawing import of_digit
from training.photos.family import Family, Photo
from training.photos.pen import PRINT
from training.photos.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.data.digits import Labels
    from training.images import Images
    from training.photos.canvas import Random, Range
    from training.photos.family import Draw
    from training.photos.sources import Sources

GAP = (0.05, 0.4)
"""Gaps between the digits of a number, relative to their height."""
TWO, SOME = (2, 2), (2, 6)
"""The fewest and the most digits of a number."""
PAIR = Setting(height=(0.32, 0.6), aspect=(1.15, 1.9), wide=True)
LINE = Setting(height=(0.3, 0.6), aspect=(1.7, 3.0), wide=True, away=0.05)
UNEVEN = light.several(light.shadow, light.vignette, light.folds, limits=(0, 1))
ROUGH = replace(LINE, paper=paper.ruled_or_squared, layers=(light.daylight, UNEVEN))


def numbers(sources: Sources) -> list[Family]:
    """The families of several digits; printed ones are in the fonts of the sources."""
    fonts, kraft = sources.fonts, replace(LINE, paper=held_out.kraft)
    return [
        Family("pairs", "two digits apart", "digits", _handwritten(PAIR, TWO, GAP)),
        Family("pairs_touching", "two digits that touch", "digits", _handwritten(PAIR, TWO, None)),
        Family("pairs_printed", "two printed digits", "digits", _printed(PAIR, TWO, fonts)),
        Family("numbers", "numbers of 2 to 6 digits", "digits", _handwritten(LINE, SOME, GAP)),
        Family("numbers_rough", "numbers on lines or squares", "digits", _handwritten(ROUGH, SOME, GAP)),
        Family("numbers_comb", "numbers in the boxes of a form", "digits", _comb),
        Family("numbers_printed", "printed numbers of 2 to 6 digits", "digits", _printed(LINE, SOME, fonts)),
        Family("numbers_kraft", "numbers on kraft paper", "digits", _handwritten(kraft, SOME, GAP), held_out=True),
    ]


def _handwritten(setting: Setting, counts: tuple[int, int], gaps: Range | None) -> Draw:
    def draw(images: Images, labels: Labels, random: Random) -> Photo:
        count = int(random.integers(*counts, endpoint=True))
        write = writing.number([of_digit(image) for image in images[:count]], gaps)
        return Photo(setting.taken(write, random), _text(labels[:count]))

    return draw


def _comb(images: Images, labels: Labels, random: Random) -> Photo:
    count = int(random.integers(*SOME, endpoint=True))
    setting = replace(LINE, paper=paper.comb(count))
    return Photo(
        setting.taken(writing.comb([of_digit(image) for image in images[:count]]), random), _text(labels[:count])
    )


def _printed(setting: Setting, counts: tuple[int, int], fonts: Sequence[str]) -> Draw:
    on_paper = replace(setting, inks=(PRINT,), angle_deg=(0, 0))
    on_screen = replace(on_paper, paper=paper.clean, layers=(), camera=SCREEN)

    def draw(images: Images, labels: Labels, random: Random) -> Photo:  # noqa: ARG001 - it is a Draw
        text = _text(labels[: int(random.integers(*counts, endpoint=True))])
        write = writing.printed_number(text, fonts, GAP)
        return Photo(pick(random, (on_paper, on_screen)).taken(write, random), text)

    return draw


def _text(labels: Labels) -> str:
    return "".join(str(label) for label in labels)
