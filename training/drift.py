"""Drift: how far recent answers are from those on the validation images, by the population stability index."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from training.answers import CONFIDENCE, DIGIT, INK
from training.images import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BINS: Final = 256
"""A window keeps the bin of each answer in a byte."""
KINDS: Final = ("ink", "confidence", "digit")
BINS: Final = 10
SUREST: Final = 0.99999
"""No bin begins above this confidence: there, processors differ by as much as pictures do."""
LARGE: Final = 0.25
"""From this index on, a population counts as another one, by the convention of credit scoring."""
Z: Final = 4.753424308822899
"""A standard normal variable exceeds this with a probability of one in a million."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts of values in bins; the first and the last bin are open."""

    edges: Annotated[tuple[float, ...], msgspec.Meta(min_length=1, max_length=MOST_BINS - 1)]
    """Between the bins, ascending; a value equal to an edge is in the bin above it."""
    counts: tuple[Annotated[int, msgspec.Meta(ge=0, le=2**53)], ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(
                f"a histogram has {len(self.counts)} counts, want {len(self.edges) + 1}: one more than edges"
            )
        if any(above <= edge for edge, above in pairwise(self.edges)):
            raise ValueError("the edges of a histogram do not ascend")
        if not any(self.counts):
            raise ValueError("a histogram has no counts above 0")

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: NDArray[np.floating]) -> Histogram:
        """Of values [n]."""
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        return cls(tuple(edges.tolist()), tuple(counts.tolist()))


class Reference(msgspec.Struct, frozen=True):
    """Histograms over the validation images, against which drift is measured."""

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
    """The values whose histograms are compared, in the order of KINDS: [n] each, of columns [n, 16]."""
    return columns[:, INK], columns[:, CONFIDENCE], columns[:, DIGIT]


def stability_index(counts: NDArray[np.integer], reference: NDArray[np.integer]) -> float:
    """The population stability index, 0…, of counts [bins] and reference counts; half a count is added to each."""
    found, wanted = ((of + 0.5) / (of.sum() + 0.5 * len(of)) for of in (counts, reference))
    return float(((found - wanted) * np.log(found / wanted)).sum())


def alarm_limit(bins: int, rows: int, reference_rows: int) -> float:
    """The index above which there is drift, for histograms of so many bins over so many rows each.

    Without drift the index is (1 / rows + 1 / reference_rows) times a chi-square variable with bins - 1 degrees of
    freedom (Yurdakul 2018, Statistical properties of population stability index), so it is above 0 even then, and
    larger for fewer rows. The limit is the larger of two: the mean without drift plus 0.25, and the quantile that is
    exceeded once in a million times without drift (approximated as by Wilson & Hilferty 1931).
    """
    freedom = bins - 1
    part = 2 / (9 * freedom)
    unit = 1 / rows + 1 / reference_rows
    return max(LARGE + freedom * unit, unit * freedom * (1 - part + Z * sqrt(part)) ** 3)


class Window:
    """Histograms over the last `rows` answers, kept as a ring buffer of bins. Not thread-safe."""

    def __init__(self, reference: Reference, rows: int) -> None:
        histograms = [getattr(reference, kind) for kind in KINDS]
        self._edges = [np.array(of.edges, np.float32) for of in histograms]
        self._wanted = [np.array(of.counts) for of in histograms]
        self._counts = [np.zeros_like(of) for of in self._wanted]
        self._bins = np.zeros((len(KINDS), rows), np.uint8)  # a ring
        self._next = 0
        self.rows = 0

    def add(self, columns: NDArray[np.float32]) -> None:
        """Adds columns [n, 16]; rows that are older than the window are dropped."""
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
        """By kind: the index, and whether it means drift. Without any row, 0 and no drift."""
        found = {}
        for kind, counts, wanted in zip(KINDS, self._counts, self._wanted, strict=True):
            index = stability_index(counts, wanted) if self.rows else 0.0
            limit = alarm_limit(len(wanted), self.rows, int(wanted.sum())) if self.rows else 0.0
            found[kind] = (index, self.rows > 0 and index > limit)
        return found


def _quantiles(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Edges between bins of about equally many values; fewer where many values are the same."""
    return np.unique(np.quantile(values.astype(np.float64), np.arange(1, BINS) / BINS))
