"""The lag of the event loop, which every request waits for."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from service.observability.loop_lag import LoopLag


@pytest.mark.anyio
async def test_a_loop_that_stands_still_has_a_lag():
    registry = CollectorRegistry()
    lag = LoopLag(registry)
    lag.start(asyncio.get_running_loop())
    await asyncio.sleep(0.1)
    time.sleep(0.3)
    await asyncio.sleep(0.1)
    lag.flush()
    assert registry.get_sample_value("digits_event_loop_longest_lag_seconds") > 0.25
    assert registry.get_sample_value("digits_event_loop_lag_seconds_count") >= 3
    assert registry.get_sample_value("digits_event_loop_lag_seconds_bucket", {"le": "5.0"}) >= 3
