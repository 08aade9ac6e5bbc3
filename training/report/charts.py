"""Charts as SVG inside the page, in the page's colours and fonts, so that they follow its dark mode."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from training.answers import CERTAINTY
from training.evaluation.trust import risk_by_share
from training.report.wording import SPACE, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from training.evaluation.reliability import Reliability
    from training.evaluation.trust import Measured
    from training.report.standing import Standing
    from training.store.card import Card

# Matplotlib has no CSS variables: it draws in placeholder colours, each of which is then replaced by a variable.
INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = tuple(f"#0500{place:02x}" for place in range(8))
"""Colours of the models; the ninth model gets the first one's."""
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"} | {
    colour: f"--series-{place}" for place, colour in enumerate(SERIES)
}

INCHES = (5.0, 3.2)  # 360 x 230 points: shown at about their size on a phone, enlarged on a desk
STYLE: dict[Any, object] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "digits",  # the same chart gives the same bytes
    "font.size": 10.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
LEAST_SHARE = 0.9
"""The first share in the chart of the risk: below it the risk is almost 0."""
CONFIDENCES = (0.5, 0.9, 0.99, 0.999, 0.9999)


def losses(cards: Sequence[Card], colours: Sequence[str]) -> Markup:
    """The training loss by epoch, a line for each card."""
    with _chart("loss") as chart:
        _by_epoch(chart.axes, [[row.loss for row in card.history] for card in cards], colours)
        chart.axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    return chart.svg


def validation_errors(cards: Sequence[Card], colours: Sequence[str]) -> Markup:
    """The validation error by epoch, a line for each card."""
    lines = [[max(row.validation_error, _least(card.data.validation_images)) for row in card.history] for card in cards]
    with _chart("validation") as chart:
        _by_epoch(chart.axes, lines, colours)
        chart.axes.yaxis.set_major_formatter(FuncFormatter(_share))
    return chart.svg


def error_by_time(standings: Sequence[Standing], colours: Sequence[str]) -> Markup:
    """The test error with its interval against training time: low and left is best."""
    with _chart("race") as chart:
        axes = chart.axes
        axes.set_xscale("log")
        axes.set_yscale("log")
        seconds = np.array([max(row.training_seconds, 0.1) for row in standings])
        errors = np.array([max(row.error, _least(row.images)) for row in standings])
        middle = np.sqrt(seconds.min() * seconds.max())
        for place, (row, colour) in enumerate(zip(standings, colours, strict=True)):
            x, y = seconds[place], errors[place]
            axes.plot([x, x], np.maximum(row.interval, _least(row.images)), color=colour, alpha=0.45, linewidth=3)
            axes.plot([x], [y], "o", color=colour, markersize=6)
            close = place > 0 and max(y / errors[place - 1], 1) < 1.15 and 1 / 3 < x / seconds[place - 1] < 3
            axes.annotate(
                row.label,
                (x, y),
                (-8 if x > middle else 8, 8 if close else 0),
                textcoords="offset points",
                ha="right" if x > middle else "left",
                va="center",
                color=colour,
                weight="bold",
            )
        axes.set_xlim(seconds.min() / 2.5, seconds.max() * 2.5)
        axes.set_xlabel("training time")
        axes.xaxis.set_major_locator(FixedLocator(_times(seconds)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        _logarithmic(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(_share))
    return chart.svg


def calibration(name: str, after: Reliability, before: Reliability, colour: str) -> Markup:
    """The reliability diagram of a model, on scales that are logarithmic towards 1; `before` is drawn hollow."""
    with _chart(f"calibration-{name}") as chart:
        axes = chart.axes
        top = float(_nines(1.0))
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, dashes=(4, 3))
        bars = {round(float(_nines(of.confidence)), 2): of.interval for of in after.bins}  # one where several would be
        for place, ends in bars.items():
            axes.plot([place, place], _nines(ends), color=colour, alpha=0.3, linewidth=3)
        for reliability, face in ((before, PAPER), (after, colour)):
            x, y = (_nines([getattr(of, part) for of in reliability.bins]) for part in ("confidence", "right"))
            axes.plot(x, y, "o", markersize=5, markerfacecolor=face, markeredgecolor=colour, clip_on=False, zorder=5)
        labels = [*(f"{100 * share:g}{SPACE}%" for share in CONFIDENCES[:-1]), f"≥ 99.99{SPACE}%"]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator([float(_nines(value)) for value in CONFIDENCES]))
            axis.set_major_formatter(FuncFormatter(lambda _, place: labels[place or 0]))
        axes.set_xlim(0, top * 1.02)
        axes.set_ylim(0, top * 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right answers")
    return chart.svg


def risk(name: str, measured: Measured, colour: str) -> Markup:
    """The risk-coverage curve of a model; a ring marks the accepted answers."""
    with _chart(f"risk-{name}") as chart:
        axes = chart.axes
        curve = risk_by_share(measured.computed[:, CERTAINTY], measured.wrong)
        share = np.arange(1, len(curve) + 1) / len(curve)
        shown = share >= LEAST_SHARE
        axes.plot(share[shown], curve[shown], color=colour)
        accepted = measured.figures.accepted
        axes.plot(
            [max(accepted.share, LEAST_SHARE)], [accepted.risk], "o", color=colour, markerfacecolor=PAPER, zorder=5
        )
        axes.set_xlim(LEAST_SHARE, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("most certain answers")
        axes.set_ylabel("error among them")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_share))
            axis.set_major_locator(MaxNLocator(5))
    return chart.svg


def outliers(name: str, measured: Measured, colour: str) -> Markup:
    """A bar for each family of out-of-distribution pictures: the AUROC of its novelty against digits."""
    with _chart(f"outliers-{name}") as chart:
        axes = chart.axes
        families = measured.figures.families[::-1]
        axes.barh([family.name for family in families], [family.auroc for family in families], color=colour, height=0.6)
        axes.set_xlim(0.5, 1)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("AUROC")
    return chart.svg


class _Chart:
    def __init__(self, name: str) -> None:
        self.name = name
        self.figure = Figure(figsize=INCHES, layout="constrained")
        self.axes = self.figure.add_subplot()
        self.svg = Markup()


@contextmanager
def _chart(name: str) -> Iterator[_Chart]:
    """Yields a chart to draw into; after the block its `svg` is set. Names are unique within a page."""
    with mpl.rc_context(STYLE):
        chart = _Chart(name)
        yield chart
        file = io.StringIO()
        chart.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    chart.svg = _inline(file.getvalue(), name)


def _inline(svg: str, name: str) -> Markup:
    """An SVG file as an HTML element: without prologue and namespaces, with the colours and ids of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg class="chart" aria-hidden="true" \1>', svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"<g/>\n? *| (?=\n)|(?<=\n) +", "", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # noqa: S704 - drawn here, from numbers and from names that the store has checked


def _by_epoch(axes: Axes, lines: Sequence[Sequence[float]], colours: Sequence[str]) -> None:
    axes.set_yscale("log")
    for values, colour in zip(lines, colours, strict=True):
        marker = "o" if len(values) <= 20 else ""
        axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, markersize=3.5)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _logarithmic(axes)


def _logarithmic(axes: Axes) -> None:
    """Labels at 1, 2 and 5 of every decade, so that even a short axis has some."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _share(share: float, _: int | None = None) -> str:
    return f"{100 * share:g}{SPACE}%"


def _least(images: int) -> float:
    """Half an image, drawn in place of an error of 0, which a logarithmic axis cannot show."""
    return 0.5 / images


def _times(seconds: NDArray[np.float64]) -> list[float]:
    """Round times for the marks of an axis, in seconds."""
    round_times = [0.1, 0.3, 1.0, 3, 10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 36000]
    inside = [time for time in round_times if seconds.min() / 2 <= time <= seconds.max() * 2]
    return inside[:: 1 + len(inside) // 6] or [float(seconds[0])]


def _nines(shares: ArrayLike) -> NDArray[np.float64]:
    """The number of nines of a share: 0.9 -> 1, 0.99 -> 2; at most four."""
    return -np.log10(1 - np.clip(np.asarray(shares, np.float64), 0, CONFIDENCES[-1]))
