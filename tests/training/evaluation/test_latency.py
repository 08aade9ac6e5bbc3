"""How latency is measured: percentiles over rounds."""

import itertools

import numpy as np
import pytest

from training.evaluation import latency

IMAGE = np.zeros((1, 28, 28), np.uint8)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only networks move on; the one that times them reads it."""

    class Clock:
        now_s = 0.0

        def network(self, seconds):
            """A network that takes each of these times in turn, again and again."""
            taken = itertools.cycle(seconds)

            def compute(image):
                self.now_s += next(taken)

            return compute

    clock = Clock()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock.now_s)
    return clock


def test_two_calls_in_a_hundred_are_what_the_99th_percentile_is_about(clock):
    often = clock.network([0.001] * 98 + [0.009] * 2)
    seldom = clock.network([0.001] * 99 + [0.001])
    assert latency.p99_s(often, seldom, IMAGE) == pytest.approx((0.009, 0.001))


def test_a_disturbed_round_does_not_count_and_slowness_in_every_round_does(clock):
    """39 rounds in which everything takes ten times as long, and one in which the machine is idle."""
    disturbed = [10] * (39 * latency.CALLS) + [1] * latency.CALLS
    first, second = (clock.network([factor * s for factor in disturbed]) for s in (0.001, 0.002))
    assert latency.p99_s(first, second, IMAGE) == pytest.approx((0.001, 0.002))
