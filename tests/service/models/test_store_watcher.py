"""The store watcher, step by step, over a fake source of versions."""

import asyncio
import logging
from contextlib import asynccontextmanager

import numpy as np
import pytest

from service.errors import VersionNotLoaded
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread, StoreTimeout
from service.models.store_watcher import RETRY_AFTER_S, StoreWatcher
from service.observability.metrics import Metrics
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.shelf import Shelf
from training.answers import DIGIT

pytestmark = pytest.mark.anyio
IMAGES = picture(7)[None]


@asynccontextmanager
async def following(shelf, metrics=None, *, timeout_s=60, poll_s=0.01):
    """A watcher of a shelf, and what it has loaded."""
    registry = ModelRegistry()
    watcher = StoreWatcher(shelf, registry, metrics or Metrics(), StoreThread(timeout_s), poll_s)
    await watcher.start()
    try:
        yield watcher, registry
    finally:
        watcher.close()
        await registry.close(1)


def shelf_with(*numbers):
    """A shelf with versions of lenet; 1 is the champion."""
    return Shelf({"lenet": {number: FakePredictor("lenet", number) for number in numbers}})


def loaded(registry):
    return sorted(version.version for version in registry.versions())


async def test_a_promoted_version_takes_the_place_of_the_champion():
    shelf = shelf_with(1, 2)
    async with following(shelf) as (watcher, registry):
        assert registry.resolve().version == 1
        shelf.aliases["lenet"] = {"champion": 2, "previous": 1}
        await watcher.sync()
        assert (registry.resolve().version, loaded(registry)) == (2, [2])
        with pytest.raises(VersionNotLoaded, match="version 'previous' is version 1 of lenet, which is not loaded"):
            registry.resolve("lenet", "previous")


async def test_nothing_is_loaded_twice_and_nothing_changes_when_nothing_has_changed():
    shelf = shelf_with(1, 2)
    shelf.policy = "all"
    async with following(shelf) as (watcher, registry):
        before = registry.models()
        for _ in range(3):
            await watcher.sync()
        assert registry.models() == before
        assert shelf.loads == [("lenet", 1), ("lenet", 2)]


async def test_a_request_ends_on_the_version_it_started_with_and_only_then_that_one_ends():
    shelf = shelf_with(1, 2)
    async with following(shelf) as (watcher, registry):
        with registry.resolve() as old:
            shelf.aliases["lenet"]["champion"] = 2
            await watcher.sync()
            assert registry.resolve().version == 2
            await asyncio.sleep(0.05)
            answer = await old.batcher.submit(IMAGES)
            assert (old.version, answer[0, DIGIT]) == (1, 7)
        async with asyncio.timeout(5):
            while old.batcher.alive:
                await asyncio.sleep(0.001)


async def test_what_a_retired_engine_has_accepted_is_answered():
    shelf = shelf_with(1, 2)
    async with following(shelf) as (watcher, registry):
        predictor = shelf.on_it["lenet"][1]
        predictor.gate.clear()

        async def ask(version):
            with version:
                return await version.batcher.submit(IMAGES)

        asked = [asyncio.create_task(ask(registry.resolve())) for _ in range(5)]
        await asyncio.sleep(0)
        shelf.aliases["lenet"]["champion"] = 2
        await watcher.sync()
        predictor.gate.set()
        assert [answers[0, DIGIT] for answers in await asyncio.gather(*asked)] == [7] * 5


async def test_a_version_that_fails_stays_out_and_the_running_one_goes_on(caplog):
    shelf = shelf_with(1)
    shelf.on_it["lenet"][2] = ValueError("its card is torn")
    async with following(shelf) as (watcher, registry):
        shelf.aliases["lenet"]["champion"] = 2
        with caplog.at_level(logging.ERROR):
            await watcher.sync()
            await watcher.sync()
        assert (registry.resolve().version, registry.resolve("lenet", "champion").version, loaded(registry)) == (
            1,
            1,
            [1],
        )
        (rejected,) = watcher.rejected
        assert (rejected.title, str(rejected.error), rejected.times) == ("lenet version 2", "its card is torn", 2)
        assert caplog.messages == ["lenet version 2 stays out: its card is torn"], "said once"


async def test_a_version_that_is_mended_is_loaded_and_its_refusal_forgotten():
    shelf = shelf_with(1)
    shelf.on_it["lenet"][2] = ValueError("not whole yet")
    async with following(shelf) as (watcher, registry):
        shelf.aliases["lenet"]["champion"] = 2
        await watcher.sync()
        shelf.on_it["lenet"][2] = FakePredictor("lenet", 2)
        await watcher.sync()
        assert (registry.resolve().version, watcher.rejected) == (2, [])


async def test_a_refusal_ends_when_nobody_wants_the_version_any_more():
    shelf = shelf_with(1)
    shelf.on_it["lenet"][2] = ValueError("torn")
    async with following(shelf) as (watcher, registry):
        shelf.aliases["lenet"]["champion"] = 2
        await watcher.sync()
        shelf.aliases["lenet"]["champion"] = 1
        await watcher.sync()
        assert (registry.resolve().version, watcher.rejected) == (1, [])


async def test_what_was_refused_is_tried_again_at_once_when_asked_and_else_after_a_while(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("service.models.store_watcher.time.monotonic", lambda: now)
    shelf = shelf_with(1)
    shelf.on_it["lenet"][2] = ValueError("torn")
    async with following(shelf) as (watcher, _registry):
        shelf.aliases["lenet"]["champion"] = 2

        async def tries(*, retry):
            before = len(shelf.loads)
            await watcher.sync(retry=retry)
            return len(shelf.loads) - before

        assert await tries(retry=False) == 1
        assert await tries(retry=False) == 0
        assert await tries(retry=True) == 1
        now += RETRY_AFTER_S * 1.5
        assert await tries(retry=False) == 0, "after the second failure it waits twice as long"
        now += RETRY_AFTER_S
        assert await tries(retry=False) == 1


async def test_a_store_that_cannot_be_read_changes_nothing_and_is_told():
    shelf = shelf_with(1)
    async with following(shelf) as (watcher, registry):
        shelf.plan_error = OSError("the volume is gone")
        await watcher.sync()
        assert loaded(registry) == [1]
        assert [(rejected.title, str(rejected.error)) for rejected in watcher.rejected] == [
            ("lenet", "the volume is gone")
        ]
        shelf.plan_error = None
        await watcher.sync()
        assert watcher.rejected == []


async def test_of_several_wanted_versions_those_that_load_answer():
    shelf = shelf_with(1, 3)
    shelf.on_it["lenet"][2] = ValueError("torn")
    shelf.policy = "all"
    async with following(shelf) as (watcher, registry):
        assert loaded(registry) == [1, 3]
        shelf.aliases["lenet"] = {"champion": 3}
        await watcher.sync()
        assert (registry.resolve().version, registry.resolve("lenet", "1").version) == (3, 1)


async def test_models_that_appear_are_loaded_too_and_one_that_fails_harms_no_other():
    shelf = shelf_with(1)
    async with following(shelf) as (watcher, registry):
        shelf.on_it |= {"mlp": {4: FakePredictor("mlp", 4)}, "broken": {1: ValueError("torn")}}
        shelf.aliases |= {"mlp": {"champion": 4}, "broken": {"champion": 1}}
        await watcher.sync()
        assert [*registry.models()] == ["lenet", "mlp"]
        assert (registry.default_model, registry.resolve("mlp").version) == ("lenet", 4)
        assert [rejected.title for rejected in watcher.rejected] == ["broken version 1"]


async def test_without_the_default_model_there_is_no_start_and_the_reason_is_the_version_s():
    shelf = Shelf({"lenet": {1: ValueError("its card is torn")}})
    with pytest.raises(ValueError, match="its card is torn"):
        await StoreWatcher(shelf, ModelRegistry(), Metrics(), StoreThread(60), poll_s=1).start()


async def test_it_looks_by_itself_at_intervals_and_at_once_when_woken():
    shelf = shelf_with(1, 2, 3)
    for poll_s, wake in ((0.01, False), (0, True)):
        shelf.aliases["lenet"]["champion"] = 1
        async with following(shelf, poll_s=poll_s) as (watcher, registry):
            task = asyncio.create_task(watcher.run())
            await asyncio.sleep(0)
            shelf.aliases["lenet"]["champion"] = 2
            if wake:
                await asyncio.sleep(0.05)
                assert registry.resolve().version == 1, "an interval of 0 is none"
                watcher.wake()
            async with asyncio.timeout(5):
                while registry.resolve().version != 2:
                    await asyncio.sleep(0.001)
            task.cancel()


async def test_a_failure_that_nobody_foresaw_does_not_end_the_following(caplog):
    shelf = shelf_with(1, 2)
    async with following(shelf) as (watcher, registry):
        update_metrics, watcher._update_metrics = watcher._update_metrics, None
        task = asyncio.create_task(watcher.run())
        async with asyncio.timeout(5):
            while "the store could not be followed" not in caplog.text:
                await asyncio.sleep(0.001)
            watcher._update_metrics = update_metrics
            shelf.aliases["lenet"]["champion"] = 2
            while registry.resolve().version != 2:
                await asyncio.sleep(0.001)
        task.cancel()


async def test_metrics_name_what_is_loaded_and_forget_what_was():
    shelf, metrics = shelf_with(1, 2), Metrics()
    shelf.metrics = metrics
    async with following(shelf, metrics) as (watcher, registry):
        await registry.resolve().batcher.submit(IMAGES)
        shelf.aliases["lenet"]["champion"] = 2
        await watcher.sync()
        await registry.resolve().batcher.submit(np.repeat(IMAGES, 3, axis=0))
        text = metrics.exposition().decode()
        assert 'digits_live_version{model="lenet",version="2"} 1.0' in text
        assert 'version="1"' not in text
        assert 'digits_batch_rows_sum{model="lenet",version="2"} 3.0' in text
        assert "digits_version_staying_out{" not in text


async def test_metrics_name_what_stays_out_with_the_kind_of_its_error_until_it_is_in():
    shelf, metrics = shelf_with(1), Metrics()
    shelf.on_it["lenet"][2] = ValueError("torn")
    async with following(shelf, metrics) as (watcher, _registry):
        shelf.aliases["lenet"]["champion"] = 2
        await watcher.sync()
        line = 'digits_version_staying_out{model="lenet",reason="ValueError",version="2"} 1.0'
        assert line in metrics.exposition().decode()
        shelf.on_it["lenet"][2] = FakePredictor("lenet", 2)
        await watcher.sync()
        assert "digits_version_staying_out{" not in metrics.exposition().decode()


async def test_a_store_that_cannot_be_read_is_a_metric_until_it_can_be():
    """A volume that was gone was in the log alone, where the models are those that the store has."""
    shelf, metrics = shelf_with(1), Metrics()

    def gone():
        raise OSError("Stale file handle")

    async with following(shelf, metrics) as (watcher, registry):
        shelf.models, models = gone, shelf.models
        await watcher.sync()
        line = 'digits_version_staying_out{model="lenet",reason="OSError",version=""} 1.0'
        assert line in metrics.exposition().decode()
        assert loaded(registry) == [1]
        shelf.models = models
        await watcher.sync()
        assert "digits_version_staying_out{" not in metrics.exposition().decode()
        assert watcher.rejected == []


async def test_a_source_that_hangs_is_rejected_and_one_thread_waits_for_it():
    """SIGTERM waited for ever, and so did whoever asked to reload."""
    shelf = shelf_with(1, 2)
    async with following(shelf, timeout_s=0.1) as (watcher, registry):
        shelf.gate.clear()
        for _ in range(10):
            await watcher.sync()
            (rejected,) = watcher.rejected
            assert isinstance(rejected.error, StoreTimeout)
            assert (rejected.title, str(rejected.error)) == ("lenet", "the store has not answered in 0.1 s")
        assert (loaded(registry), shelf.waiting) == ([1], 1)
        assert (await registry.resolve().batcher.submit(IMAGES))[0, DIGIT] == 7
        shelf.aliases["lenet"]["champion"] = 2
        shelf.gate.set()
        async with asyncio.timeout(5):
            while registry.resolve().version != 2:
                await watcher.sync()
        assert watcher.rejected == []


async def test_a_source_that_cannot_say_which_models_it_has_is_told_as_those_that_are_loaded():
    shelf = shelf_with(1)
    async with following(shelf, timeout_s=0.1) as (watcher, registry):
        shelf.gate.clear()
        shelf.models, models = shelf.wait, shelf.models
        await watcher.sync()
        assert [(each.title, str(each.error)) for each in watcher.rejected] == [
            ("lenet", "the store has not answered in 0.1 s")
        ]
        assert loaded(registry) == [1]
        shelf.models = models
        shelf.gate.set()


async def test_a_version_that_is_loaded_too_late_is_closed():
    shelf = shelf_with(1, 2)
    async with following(shelf, timeout_s=0.5) as (watcher, registry):
        started = []
        load = shelf.load

        def load_late(model, version):
            shelf.wait()
            started.append(load(model, version))
            return started[-1]

        shelf.load = load_late
        shelf.aliases["lenet"]["champion"] = 2
        wait, shelf.plan_waits = shelf.plan_waits, False
        shelf.gate.clear()
        await watcher.sync()
        assert [(each.title, type(each.error)) for each in watcher.rejected] == [("lenet version 2", StoreTimeout)]
        shelf.gate.set()
        async with asyncio.timeout(5):
            while not started or started[0].batcher.alive:
                await asyncio.sleep(0.001)
        shelf.plan_waits = wait
        async with asyncio.timeout(5):
            while loaded(registry) != [2]:  # a busy machine may need more than 0.5 s
                await watcher.sync()
        assert registry.resolve() is not started[0]


async def test_a_sync_waits_for_another_one_only_so_long():
    shelf = shelf_with(1)
    async with following(shelf, timeout_s=0.3) as (watcher, _registry):
        shelf.gate.clear()
        first = asyncio.create_task(watcher.sync())
        await asyncio.sleep(0)
        with pytest.raises(StoreTimeout, match=r"the store has not answered in 0\.3 s"):
            await asyncio.gather(*(watcher.sync() for _ in range(3)))
        await first
        shelf.gate.set()


async def test_polls_are_spread_so_that_processes_that_start_together_do_not_poll_together(monkeypatch):
    asked, shelf = [], shelf_with(1)

    def least(first, last):
        asked.append((first, last))
        return first

    monkeypatch.setattr("service.models.store_watcher.random.uniform", least)
    async with following(shelf, poll_s=0.04) as (watcher, _):
        running = asyncio.create_task(watcher.run())
        watcher.wake()  # the first wait is of no time, which means for ever
        async with asyncio.timeout(20):
            while len(asked) < 4:
                await asyncio.sleep(0.01)
        running.cancel()
    assert asked[:4] == [(0, 0.04)] + [(0.75, 1)] * 3
