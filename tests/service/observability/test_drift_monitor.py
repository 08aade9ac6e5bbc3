"""Drift: the stability index against the card's reference, the window of recent rows, alarms and their metrics."""

import time

import numpy as np
import pytest
from scipy.stats import chi2

from service.models.loaded_version import LoadedVersion
from service.observability.drift_monitor import ROW_BYTES, DriftMonitor
from service.observability.metrics import Metrics
from tests.support.exposition import read
from tests.support.fake_predictor import columns_of
from training import mnist
from training.answers import COLUMNS, CONFIDENCE, INK
from training.drift import KINDS, LARGE, SUREST, Histogram, Window, alarm_limit, reference, stability_index
from training.predictor import Predictor


def columns(random, n, ink=0.13, sure=4.0):
    """Columns [n, 16] as a network gives them, with that mean ink, and the surer the larger `sure` is."""
    logits = random.normal(size=(n, 10)) + sure * np.eye(10)[random.integers(0, 10, n)]
    found = columns_of(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    found[:, INK] = np.clip(random.normal(ink, 0.04, n), 0, 1)
    return found


pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def wanted():
    return reference(columns(np.random.default_rng(0), 5000))


def test_the_index_is_that_of_the_two_histograms():
    found = stability_index(np.array([10, 20, 70]), np.array([30, 30, 40]))
    p, q = np.array([10.5, 20.5, 70.5]) / 101.5, np.array([30.5, 30.5, 40.5]) / 101.5
    assert found == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert stability_index(np.array([3, 5, 9]), np.array([3, 5, 9])) == 0.0
    assert np.isfinite(stability_index(np.array([0, 0, 9]), np.array([3, 5, 0])))


@pytest.mark.parametrize(("bins", "rows"), [(10, 100), (10, 500), (7, 2000)])
def test_the_limit_is_large_and_beyond_chance(bins, rows):
    unit = 1 / rows + 1 / 5000
    limit = alarm_limit(bins, rows, 5000)
    assert limit >= LARGE + (bins - 1) * unit
    assert chi2.sf(limit / unit, bins - 1) < 1.2e-6


def test_without_drift_the_index_is_as_large_on_average_as_the_limit_takes_it_for():
    random = np.random.default_rng(5)
    share = np.full(10, 0.1)
    found = [stability_index(random.multinomial(500, share), random.multinomial(5000, share)) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(9 * (1 / 500 + 1 / 5000), rel=0.05)


def test_bins_hold_equally_many_and_none_begins_where_processors_differ(wanted):
    assert max(wanted.ink.counts) - min(wanted.ink.counts) <= 2
    sure = np.zeros((1000, COLUMNS), np.float32)
    sure[:, CONFIDENCE] = 1 - np.logspace(-1, -7, 1000)
    edges = reference(sure).confidence.edges
    assert edges[-1] == SUREST
    assert len(edges) == 7  # seven tenths of them are above it
    assert Histogram.of(np.array([0.0, 1.0, 1.5, 2.0]), np.array([1.0, 2.0])).counts == (1, 2, 1)


@pytest.mark.parametrize("sizes", [[1] * 300, [7, 50, 100, 1, 64, 99], [400, 3], [100]])
def test_a_window_counts_its_last_rows_however_they_come(wanted, sizes):
    every = columns(np.random.default_rng(1), sum(sizes))
    window, first = Window(wanted, 100), 0
    for size in sizes:
        window.add(every[first : first + size])
        first += size
    last = every[-100:]
    at_once = Window(wanted, 100)
    at_once.add(last)
    assert window.rows == 100
    assert window.drift() == at_once.drift()
    ink = Histogram.of(last[:, INK], np.array(wanted.ink.edges, np.float32))
    assert window.drift()["ink"][0] == stability_index(np.array(ink.counts), np.array(wanted.ink.counts))


@pytest.mark.parametrize(("change", "kinds"), [({"ink": 0.16}, {"ink"}), ({"sure": 3.0}, {"confidence"}), ({}, set())])
def test_what_has_changed_is_an_alarm_and_nothing_else(wanted, change, kinds):
    window = Window(wanted, 500)
    window.add(columns(np.random.default_rng(2), 500, **change))
    assert {kind for kind, (_, alarm) in window.drift().items() if alarm} == kinds
    assert set(window.drift()) == set(KINDS)


def test_nothing_is_drift_before_there_is_anything(wanted):
    assert set(Window(wanted, 500).drift().values()) == {(0.0, False)}


def test_drift_is_on_the_metrics_by_version_and_kind(wanted):
    metrics = Metrics()
    drift = metrics.models.version("lenet", 3, lambda rows: rows).monitor_drift(wanted, 500)
    ink = (("kind", "ink"), ("model", "lenet"), ("version", "3"))
    assert read(metrics.exposition().decode())["digits_drift_statistic", ink] == 0
    for row in columns(np.random.default_rng(3), 500, ink=0.2):
        drift.add(row[None])
    found = read(metrics.exposition().decode())
    assert found["digits_drift_statistic", ink] > 1
    assert found["digits_drift_alarm", ink] == 1
    assert found["digits_drift_alarm", (("kind", "digit"), *ink[1:])] == 0


@pytest.mark.parametrize("sizes", [[1] * 130, [99, 1, 1], [100], [250, 3], [30, 64, 64, 2]])
def test_the_last_rows_are_what_counts_however_they_come_and_whenever_somebody_asks(wanted, sizes):
    every, told, window, first = columns(np.random.default_rng(6), 2 * sum(sizes)), [], Window(wanted, 100), 0
    drift = DriftMonitor(wanted, 100, told.append)
    for _ in range(2):
        for size in sizes:
            drift.add(every[first : first + size])
            first += size
        drift.flush()
    window.add(every[-100:])
    assert told[-1] == window.drift()
    drift.flush()
    assert len(told) == 2  # nothing new


def test_no_more_is_kept_than_the_window_holds(wanted):
    drift = DriftMonitor(wanted, 100, lambda _: None)
    for _ in range(50):
        drift.add(columns(np.random.default_rng(7), 64))
    assert sum(map(len, drift._new)) == 128 * ROW_BYTES  # two batches have 100 rows; the older one has some of them


async def test_a_shift_is_seen_within_500_requests_and_nothing_on_10000_pictures_without_one(trained_store):
    """MNIST's test pictures in random order: in their own, one writer follows the other, and pens differ."""
    metrics, images = Metrics(), mnist.test().images[np.random.default_rng(0).permutation(10_000)]
    predictor = Predictor.load(trained_store, "tiny", row_sizes=(1, 64))
    version = LoadedVersion.start(predictor, metrics, queue_limit_rows=64, inline_rows=1, drift_window_rows=500)

    async def alarms(pictures, rows):
        found = set()
        for first in range(0, len(pictures), rows):
            await version.predict(pictures[first : first + rows], time.monotonic() + 60)
            said = read(metrics.exposition().decode()) if first % 50 < rows else {}
            found |= {dict(labels)["kind"] for (name, labels), alarm in said.items() if "alarm" in name and alarm}
        return found

    try:
        assert await alarms(images, 64) == set()
        assert await alarms((images[:500] * 0.7).astype(np.uint8), 1) >= {"ink"}
    finally:
        await version.retire()
