"""Ways to see ink in a picture: its colour, the paper around it, and the threshold between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import ndimage

from training.images import FULL_INK
from training.picture.binarise import LEVELS, deviation, histogram, otsu, quantile
from training.picture.levels import FAINTEST
from training.picture.light import brightness, darkness, ground, single_level
from training.picture.lines import long_lines
from training.picture.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from training.picture.binarise import Counts
    from training.picture.levels import Ink, Levels
    from training.picture.parts import Mask

WINDOWS: Final = (0.08, 0.18, 0.45)
"""Dark areas up to these shares of the shorter side are strokes, in turn: a narrow window follows the light closely,
and a wide one finds wide strokes, too."""
NOISE: Final = 3.0
"""Darkness within so many standard deviations of the paper's is paper, too."""
DARKER: Final = 1.4
"""The threshold between strokes and fainter lines is at least so many times that between lines and paper."""
FEW_PIXELS: Final = 20
SMALL: Final = 100
"""Pictures with a shorter side have neither noise of a camera nor ruled lines."""


class _Sheet(NamedTuple):
    """The first fields of a view."""

    ink: Ink
    window: float
    paper: Levels | float
    brightest: float
    dark: Levels


class View(NamedTuple):
    """Ink as dark parts on light paper; white ink is seen in the negative."""

    ink: Ink
    window: float
    """One of WINDOWS; 0 for a drawing, whose paper has one level."""
    paper: Levels | float
    """The paper's grey levels [h, w], or its one level."""
    brightest: float
    """That of the brightest paper."""
    dark: Levels
    """Darkness [h, w] in 0…1"""
    floor: float
    """Darkness up to which a pixel is paper."""
    full: float
    """Darkness of full ink."""
    fainter: bool
    """Whether fainter strokes than those above the threshold are taken for paper."""
    lines: Mask
    """Long thin lines, which are no ink."""
    parts: Parts


def negative(grey: Levels, ink: Ink) -> Levels:
    """Grey levels in 0…255 in which the ink is dark."""
    return FULL_INK - grey if ink == "white" else grey


def views(grey: Levels, inks: Iterable[Ink]) -> Iterator[View]:
    """All ways to see ink of some colours in grey levels [h, w] in 0…255."""
    drawn_on = single_level(grey)
    quiet = ndimage.median_filter(grey, 3) if drawn_on is None and min(grey.shape) > SMALL else grey
    for ink in inks:
        if drawn_on is None:
            yield from _photographed(negative(grey, ink), negative(quiet, ink), ink)
        else:
            yield from _drawn(negative(grey, ink), FULL_INK - drawn_on if ink == "white" else drawn_on, ink)


def _drawn(seen: Levels, level: float, ink: Ink) -> Iterator[View]:
    """The view of dark ink on paper of one level."""
    sheet = _Sheet(ink, 0.0, level, level, darkness(seen, level, level))
    counts = histogram(sheet.dark)
    yield from _view(sheet, counts, 0, otsu(counts))


def _photographed(seen: Levels, quiet: Levels, ink: Ink) -> Iterator[View]:
    """The views of dark ink; the paper's light is taken from the same picture without the noise of a camera."""
    for window in WINDOWS:
        paper = ground(quiet, max(round(window * min(seen.shape)), 3))
        brightest = brightness(paper)
        sheet = _Sheet(ink, window, paper, brightest, darkness(seen, paper, brightest))
        counts = histogram(sheet.dark)
        first = otsu(counts)
        yield from _view(sheet, counts, 0, first)
        above = np.where(np.arange(LEVELS) < first, 0, counts)
        if above.sum() > FEW_PIXELS and (second := otsu(above)) > DARKER * first:
            yield from _view(sheet, counts, first, second)


def _view(sheet: _Sheet, counts: Counts, below: int, threshold: int) -> Iterator[View]:
    """The view with ink from a threshold on, unless the ink is too faint; `below` is that between paper and lines."""
    noise, above = np.zeros_like(counts), np.zeros_like(counts)
    noise[below:threshold], above[threshold:] = counts[below:threshold], counts[threshold:]
    if not noise.any() or not above.any():
        return
    middle, spread = deviation(noise)
    full, limit = quantile(above, 0.95), threshold / (LEVELS - 1)
    floor = min(middle + NOISE * spread, 0.9 * limit)
    if full - floor < FAINTEST:
        return
    mask = sheet.dark > (0.8 * limit + 0.2 * floor if sheet.window else floor)
    lines = long_lines(mask) if min(mask.shape) > SMALL else np.zeros_like(mask)
    yield View(*sheet, floor, full, below > 0, lines, Parts.of(mask & ~lines, sheet.dark))
