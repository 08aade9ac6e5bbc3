"""Whether what comes in is still like what a version was calibrated on: histograms, and how far two are apart."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from training.answers import CONFIDENCE, DIGIT, INK
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS: Final = ("ink", "confidence", "digit")
BINS: Final = 10
SUREST: Final = 0.99999
"""No bin begins above this confidence: there, processors differ by as much as pictures do."""
LARGE: Final = 0.25
"""From this index on, by the convention of those who have long used it, a population is another one."""
Z: Final = 4.753424308822899
"""A normal variable is above this with a probability of one in a million."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts of values in bins; the first and the last bin are open."""

    edges: tuple[float, ...]
    """Between the bins, ascending; a value that equals an edge is in the bin above it."""
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: NDArray[np.floating]) -> Histogram:
        """Of values [n]."""
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        return cls(tuple(edges.tolist()), tuple(counts.tolist()))


class Reference(msgspec.Struct, frozen=True):
    """Histograms over the validation images."""

    ink: Histogram
    """The mean ink of a picture, 0…1, in bins of equally many pictures."""
    confidence: Histogram
    """The largest probability, in bins of equally many pictures up to 0.99999."""
    digit: Histogram
    """The predicted digit."""


def reference(columns: NDArray[np.float32]) -> Reference:
    """The histograms of columns [n, 16]."""
    ink, confidence, digit = measured(columns)
    return Reference(
        Histogram.of(ink, _quantiles(ink)),
        Histogram.of(confidence, np.unique(np.minimum(_quantiles(confidence), SUREST))),
        Histogram.of(digit, np.arange(1, CLASSES) - 0.5),
    )


def measured(columns: NDArray[np.float32]) -> tuple[NDArray[np.floating], ...]:
    """What is counted of columns [n, 16], in the order of KINDS: [n] each."""
    return columns[:, INK], columns[:, CONFIDENCE], columns[:, DIGIT]


def stability_index(counts: NDArray[np.integer], reference: NDArray[np.integer]) -> float:
    """The population stability index of counts [bins] against others, 0…; half a count is added to each (Jeffreys)."""
    found, wanted = ((of + 0.5) / (of.sum() + 0.5 * len(of)) for of in (counts, reference))
    return float(((found - wanted) * np.log(found / wanted)).sum())


def alarm_limit(bins: int, rows: int, reference_rows: int) -> float:
    """The index that is drift, for so many bins and rows on both sides.

    Without drift the index is (1 / rows + 1 / reference_rows) times a chi-square variable with bins - 1 degrees of
    freedom (Yurdakul 2018, Statistical properties of population stability index): it is above 0 even then, the more so
    the fewer rows there are. So an index is drift that is larger by 0.25 than it would be on average without, and that
    is seen less than once in a million times without (Wilson & Hilferty 1931 for the quantile).
    """
    freedom = bins - 1
    part = 2 / (9 * freedom)
    unit = 1 / rows + 1 / reference_rows
    return max(LARGE + freedom * unit, unit * freedom * (1 - part + Z * sqrt(part)) ** 3)


class Window:
    """The last rows that were answered, as bins; memory for so many rows and no more. Not safe to share."""

    def __init__(self, reference: Reference, rows: int) -> None:
        histograms = [getattr(reference, kind) for kind in KINDS]
        self._edges = [np.array(of.edges, np.float32) for of in histograms]
        self._wanted = [np.array(of.counts) for of in histograms]
        self._counts = [np.zeros_like(of) for of in self._wanted]
        self._bins = np.zeros((len(KINDS), rows), np.uint8)  # a ring
        self._next = 0
        self.rows = 0

    def add(self, columns: NDArray[np.float32]) -> None:
        """Takes in columns [n, 16]; what is older than the window is forgotten."""
        size = self._bins.shape[1]
        columns = columns[-size:]
        places = (self._next + np.arange(len(columns))) % size
        leaving = max(0, self.rows + len(columns) - size)
        for ring, edges, counts, values in zip(self._bins, self._edges, self._counts, measured(columns), strict=True):
            if leaving:
                counts -= np.bincount(ring[places[-leaving:]], minlength=len(counts))
            ring[places] = bins = np.searchsorted(edges, values, "right")
            counts += np.bincount(bins, minlength=len(counts))
        self._next = int((self._next + len(columns)) % size)
        self.rows += len(columns) - leaving

    def drift(self) -> dict[str, tuple[float, bool]]:
        """The index of each kind, and whether it is drift. Without any row, 0 and no drift."""
        found = {}
        for kind, counts, wanted in zip(KINDS, self._counts, self._wanted, strict=True):
            index = stability_index(counts, wanted) if self.rows else 0.0
            limit = alarm_limit(len(wanted), self.rows, int(wanted.sum())) if self.rows else 0.0
            found[kind] = (index, self.rows > 0 and index > limit)
        return found


def _quantiles(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Edges between bins of about equally many values; fewer where many values are the same."""
    return np.unique(np.quantile(values.astype(np.float64), np.arange(1, BINS) / BINS))
