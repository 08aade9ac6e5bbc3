"""The leaderboard: test scores of every network over its seeds, and of scikit-learn's models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import mnist
from training.data.split import split
from training.evaluation.scores import predict, score
from training.predictor import Predictor
from training.report.champions import ROW_SIZES, names
from training.report.setup import Setup
from training.report.standing import baseline_standing, standing
from training.store import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from training.data.digits import Digits
    from training.report.champions import Champion
    from training.report.standing import Standing
    from training.store import Store
    from training.store.card import Card, Metrics


def networks(
    store: Store,
    digits: Digits,
    *,
    chosen: Mapping[str, Sequence[int]] | None = None,
    tested: Iterable[Champion] = (),
    watch: Callable[[str], object] = lambda _: None,
) -> list[Standing]:
    """A row for every model of a store: its champion with the versions that differ from it by the seed alone.

    `chosen` has other versions for some models. Champions in `tested` are not tested again; `watch` is called with the
    name of each version before it is loaded. Raises StoreError for an empty store, and CorruptVersion as `champions`.
    """
    known = {(of.name, of.version): (of.version, of.card, of.metrics) for of in tested}

    def test(name: str, version: int) -> tuple[int, Card, Metrics]:
        if (name, version) not in known:
            watch(f"{name} version {version}")
            predictor = Predictor.load(store, name, version, row_sizes=ROW_SIZES)
            known[name, version] = (version, predictor.card, score(predict(predictor, digits), digits.labels))
        return known[name, version]

    rows = []
    for name in names(store):
        versions = (chosen or {}).get(name) or Setup.of(store.card(name, CHAMPION)).versions(store).values()
        rows.append(standing([test(name, version) for version in versions]))
    return rows


def baselines(digits: Digits, watch: Callable[[str], object] = lambda _: None) -> list[Standing]:
    """The rows of scikit-learn's models, fitted to the networks' training digits; `watch` is called with each name."""
    from training.evaluation.baselines import fit_baselines  # scikit-learn is slow to import, and networks need none

    training, validation = split(mnist.train())
    return [baseline_standing(baseline, digits) for baseline in fit_baselines(training, validation, watch=watch)]


def ranked(standings: Iterable[Standing]) -> list[Standing]:
    """The rows sorted by error, and by log-loss among equals."""
    return sorted(standings, key=lambda row: (row.error, row.log_loss))
