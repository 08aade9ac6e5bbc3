"""The page: the data of the template, and the template rendered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jinja2
import msgspec
import numpy as np

from training.evaluation.reliability import reliability
from training.evaluation.scores import confusion
from training.fitting.augmentation import distort
from training.network.layers import count_weights
from training.recipe import Distortion, Recipe
from training.report import charts, pictures
from training.report.board import ranked
from training.report.drawing import stages
from training.report.wording import count, duration, interval, percent, several, shape
from training.uncertainty.rejection import uncalibrated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from markupsafe import Markup
    from numpy.typing import NDArray

    from training.data.digits import Digits
    from training.evaluation.reliability import Reliability
    from training.evaluation.trust import Family, Measured
    from training.network.layers import Layers
    from training.network.module import Params
    from training.report.champions import Champion
    from training.report.drawing import Stage
    from training.report.photo_strips import Photos
    from training.report.standing import Standing

SAMPLES = 12
"""Number of pictures of each digit, and of distorted copies of one."""
MISTAKES = 60
"""Maximum number of misread pictures for a model; the most confident mistakes are shown."""
FILTERS = 32
EXAMPLE = Distortion(elastic_px=1.2, rotation_rad=0.15, scale=0.1, shear=0.1, shift_px=1.0)
"""The distortion that is shown when no model was trained on distorted pictures."""


_distort = jax.jit(distort, static_argnums=2)


class Source(NamedTuple):
    """Digits with their name in a sentence."""

    digits: Digits
    name: str

    @property
    def title(self) -> str:
        """The name with a capital letter."""
        return self.name[0].upper() + self.name[1:]


class Strip(NamedTuple):
    """Pictures side by side, with a label."""

    label: str
    png: str


class Distorted(NamedTuple):
    """Examples of a distortion: strips that begin with the picture itself."""

    distortion: Distortion
    models: tuple[str, ...]
    """Models that were trained with this distortion."""
    strips: tuple[Strip, ...]


class Mistake(NamedTuple):
    """A misread picture."""

    row: int
    """Its place among the tested pictures, counted from 0."""
    png: str
    digit: int
    reads: tuple[tuple[str, int, float], ...]
    """Model, the digit it read, and its confidence."""


class Filters(NamedTuple):
    """The first layer's filters."""

    png: str
    shown: int
    total: int
    side: int


class Cell(NamedTuple):
    """A cell of the confusion matrix."""

    times: int
    kind: str
    """`right`, `wrong` or `none`."""
    strength: float
    """For `wrong`: the ratio to the most frequent mistake, 0…1."""


class ConfusionRow(NamedTuple):
    """A row of the confusion matrix: the pictures of a digit."""

    digit: int
    cells: list[Cell]
    error: float | None
    """0…1; None when there was no such picture."""


class Outliers(NamedTuple):
    """Out-of-distribution pictures of one kind, the most digit-like first."""

    family: Family
    png: str
    novelty: tuple[float, float]
    """The smallest and the largest novelty of those shown."""


class Chapter(NamedTuple):
    """The part of the page about one model."""

    champion: Champion
    colour: str
    """The name of a CSS variable."""
    stages: list[Stage]
    filters: Filters | None
    confusion: list[ConfusionRow]
    calibrated: Reliability
    uncalibrated: Reliability
    calibration: Markup
    mistakes: list[Mistake]
    risk: Markup | None
    outliers: Markup | None
    families: list[Outliers]
    recipe: dict[str, object]


def render(
    champions: Sequence[Champion],
    weights: Sequence[Params],
    standings: Sequence[Standing],
    *,
    tested: Source,
    seen: Source,
    store: str,
    code: str,
    now: datetime,
    photos: Photos | None = None,
) -> str:
    """The page as HTML: the leaderboard of `standings`, and a chapter for each of `champions` and their `weights`.

    All of them answered the digits `tested`; examples of training pictures are taken from `seen`. Without `photos` the
    page has no such section.
    """
    standings = ranked(standings)
    places = {row.model: place % len(charts.SERIES) for place, row in enumerate(standings)}
    colours = {model: charts.SERIES[place] for model, place in places.items()}
    cards, their_colours = [of.card for of in champions], [colours[of.name] for of in champions]
    chapters = [
        _chapter(of, params, tested.digits, colours[of.name]) for of, params in zip(champions, weights, strict=True)
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {of.__name__: of for of in (percent, interval, count, several, shape, duration)}
    return environment.get_template("page.html.jinja").render(
        standings=standings,
        several_seeds=any(len(row.seeds) > 1 for row in standings),
        variables={model: charts.VARIABLES[colour] for model, colour in colours.items()},
        race=charts.error_by_time(standings, [colours[row.model] for row in standings]),
        losses=charts.losses(cards, their_colours),
        validation_errors=charts.validation_errors(cards, their_colours),
        samples=_samples(seen.digits),
        per_digit=SAMPLES,
        distorted=_distorted(champions, seen.digits),
        chapters=chapters,
        photos=photos,
        hardest=_hardest(champions, tested.digits),
        tested=tested,
        seen=seen,
        store=store,
        code=code,
        now=now,
    )


def _chapter(champion: Champion, params: Params, digits: Digits, colour: str) -> Chapter:
    card, probabilities = champion.card, champion.probabilities
    raw = uncalibrated(probabilities, card.calibration.temperature)
    after, before = (reliability(of, digits.labels) for of in (probabilities, raw))
    return Chapter(
        champion=champion,
        colour=charts.VARIABLES[colour],
        stages=stages(card.layers),
        filters=_filters(card.layers, params),
        confusion=_confusion(probabilities, digits),
        calibrated=after,
        uncalibrated=before,
        calibration=charts.calibration(card.model, after, before, colour),
        mistakes=_mistakes(champion, digits),
        risk=charts.risk(card.model, champion.measured, colour) if champion.measured else None,
        outliers=charts.outliers(card.model, champion.measured, colour) if champion.measured else None,
        families=_outliers(champion.measured) if champion.measured else [],
        recipe=_plain(card.recipe),
    )


def _outliers(measured: Measured) -> list[Outliers]:
    found = []
    for family in measured.figures.families:
        novelty, images = measured.novelty[family.name], measured.outliers[family.name]
        rows = np.argsort(novelty, kind="stable")[np.linspace(0, len(novelty) - 1, SAMPLES).astype(int)]
        ends = float(novelty[rows[0]]), float(novelty[rows[-1]])
        found.append(Outliers(family, pictures.strip(images[rows], zoom=2), ends))
    return found


def _confusion(probabilities: NDArray[np.float32], digits: Digits) -> list[ConfusionRow]:
    counts = confusion(probabilities, digits.labels)  # [10, 10]
    most = max(1, int((counts - np.diag(counts.diagonal())).max()))
    rows = []
    for digit, row in enumerate(counts.tolist()):
        kinds = ["right" if read == digit else "wrong" if n else "none" for read, n in enumerate(row)]
        cells = [Cell(n, kind, n / most) for n, kind in zip(row, kinds, strict=True)]
        rows.append(ConfusionRow(digit, cells, 1 - row[digit] / sum(row) if sum(row) else None))
    return rows


def _plain(recipe: Recipe) -> dict[str, object]:
    """A recipe's values by name, with those of its distortion; a teacher in words."""
    values = msgspec.to_builtins(recipe)
    distortion, _ = values.pop("distortion"), values.pop("teacher")
    if recipe.teacher:
        one = f"a network of {count(count_weights(recipe.teacher.layers))} weights"
        values["taught by"] = f"{recipe.teacher.networks} times {one}" if recipe.teacher.networks > 1 else one
    return values | ({"distortion": "none"} if recipe.distortion == Distortion() else distortion)


def _filters(layers: Layers, params: Params) -> Filters | None:
    kernels = pictures.first_filters(layers, params)
    if kernels is None:
        return None
    shown = pictures.strongest(kernels, FILTERS)
    return Filters(pictures.filters(shown), len(shown), len(kernels), kernels.shape[1])


def _samples(digits: Digits) -> list[Strip]:
    return [
        Strip(str(digits.labels[rows[0]]), pictures.strip(digits.images[rows]))
        for rows in pictures.of_each(digits.labels, SAMPLES)
    ]


def _distorted(champions: Sequence[Champion], digits: Digits) -> list[Distorted]:
    """Every distortion that a champion was trained with, or else the example."""
    models: dict[Distortion, list[str]] = {}
    for champion in champions:
        if champion.card.recipe.distortion != Distortion():
            models.setdefault(champion.card.recipe.distortion, []).append(champion.name)
    originals = [int(rows[0]) for rows in pictures.of_each(digits.labels, 1)][:6]
    found = []
    for distortion, names in (models or {EXAMPLE: []}).items():
        copies = np.repeat(digits.images[originals], SAMPLES, axis=0)  # [m * SAMPLES, 28, 28]
        copies = np.array(_distort(copies, jax.random.key(0), distortion))
        copies[::SAMPLES] = digits.images[originals]
        strips = [
            Strip(str(digits.labels[row]), pictures.strip(copies[i * SAMPLES : (i + 1) * SAMPLES]))
            for i, row in enumerate(originals)
        ]
        found.append(Distorted(distortion, tuple(names), tuple(strips)))
    return found


def _mistakes(champion: Champion, digits: Digits) -> list[Mistake]:
    """The misread pictures, the most confident mistake first."""
    confidence, read = champion.probabilities.max(axis=1), champion.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(read != digits.labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return [_mistake(int(row), digits, [champion]) for row in wrong[:MISTAKES]]


def _hardest(champions: Sequence[Champion], digits: Digits) -> list[Mistake]:
    """The pictures that every one of several champions misreads."""
    if len(champions) < 2:
        return []
    wrong = np.all([of.probabilities.argmax(axis=1) != digits.labels for of in champions], axis=0)
    return [_mistake(int(row), digits, champions) for row in np.flatnonzero(wrong)]


def _mistake(row: int, digits: Digits, champions: Sequence[Champion]) -> Mistake:
    reads = [(of.name, int(of.probabilities[row].argmax()), float(of.probabilities[row].max())) for of in champions]
    return Mistake(row, pictures.png(digits.images[row]), int(digits.labels[row]), tuple(reads))
