"""Following a store in object storage: promotions, what a poll costs, and answers while the storage is away."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from service.models.loader import Loader
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from tests.support.s3 import BUCKET
from training.network import compiled
from training.store import Store, UnknownModel, UnknownVersion, object_storage

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(s3_url, trained, trained_store, tmp_path, monkeypatch) -> Store:
    """Three versions of `tiny`, the first of them the champion."""
    # for a whole process
    monkeypatch.setattr("training.predictor.compute_alone", lambda _: compiled.Threads(inline_rows=1))
    monkeypatch.setattr("training.predictor.keep_compiled", lambda *_: None)
    weights = trained_store.path / "tiny" / "1" / "params"
    monkeypatch.setattr("training.distributed.checkpoint.save", lambda path, _: shutil.copytree(weights, path))
    store = Store(s3_url, cache=tmp_path / "publisher")
    for _ in range(3):
        store.publish(*trained)
    return store


def loader(store: Store, tmp_path, **settings) -> Loader:
    """A loader on another machine."""
    chosen = ServiceSettings(store=store.location, cache=tmp_path / "cache", model="tiny", **settings)
    return Loader(chosen, Metrics())


@asynccontextmanager
async def following(store, tmp_path, **settings):
    """A watcher that has loaded what it found, and its registry."""
    registry, metrics = ModelRegistry(), Metrics()
    watcher = StoreWatcher(loader(store, tmp_path, **settings), registry, metrics, StoreThread(60), 0)
    await watcher.start()
    try:
        yield watcher, registry
    finally:
        watcher.close()
        await registry.close(1)


async def test_a_promoted_version_is_loaded_beside_the_running_one(store, tmp_path):
    async with following(store, tmp_path) as (watcher, registry):
        assert registry.resolve().version == 1
        store.promote("tiny", 3)
        await watcher.sync()
        assert (registry.resolve().version, [each.version for each in registry.versions()]) == (3, [3])


async def test_a_hundred_promotions_at_once_are_followed_to_the_last_one(store, tmp_path):
    def promote(number):
        return Store(store.location, cache=tmp_path / "other").promote("tiny", number % 3 + 1)

    async with following(store, tmp_path, versions="champion,previous") as (watcher, registry):
        with ThreadPoolExecutor(100) as threads:
            promotions = [asyncio.wrap_future(threads.submit(promote, number)) for number in range(100)]
            while not all(each.done() for each in promotions):
                await watcher.sync()
                assert watcher.rejected == []
        await asyncio.gather(*promotions)
        await watcher.sync()
        aliases = store.aliases("tiny")
        assert registry.resolve().version == aliases["champion"]
        assert registry.resolve("tiny", "previous").version == aliases["previous"]


@pytest.mark.parametrize("away", [{"status": 503}, {"status": 403, "code": "AccessDenied"}, {"cut": "before"}])
async def test_loaded_versions_go_on_while_object_storage_is_away(s3, store, tmp_path, monkeypatch, away):
    monkeypatch.setattr(object_storage, "RETRIES", {"max_retries": 0})
    async with following(store, tmp_path) as (watcher, registry):
        store.promote("tiny", 2)
        with s3.fault(**away):
            await watcher.sync()
            (rejected,) = watcher.rejected
            assert rejected.title == "tiny"
            assert str(rejected.error).startswith(f"{store.location}/tiny/aliases.json is not available: ")
            assert registry.resolve().version == 1
        await watcher.sync()
        assert (registry.resolve().version, watcher.rejected) == (2, [])


async def test_a_champion_that_is_damaged_in_object_storage_stays_out(s3, store, tmp_path):
    async with following(store, tmp_path) as (watcher, registry):
        objects = s3.objects.buckets[BUCKET]
        key = f"{store.location}/tiny/2/manifest.json".removeprefix(f"s3://{BUCKET}/")
        objects[key] = objects[key]._replace(data=objects[key].data.replace(b"card", b"cart"))
        store.promote("tiny", 2)
        await watcher.sync()
        (rejected,) = watcher.rejected
        assert f"s3://{BUCKET}/{key} is damaged: it differs from its own SHA-256" in str(rejected.error)
        assert registry.resolve().version == 1


@pytest.mark.parametrize(
    ("settings", "requests"),
    [
        ({}, ["GET 304"]),
        ({"versions": "champion,previous,3", "canary_share": 0.1}, ["GET 304"]),
        ({"versions": "latest"}, ["GET 304", "GET 200", "GET 200"]),
        ({"versions": "all"}, ["GET 304", "GET 200", "GET 200"]),
    ],
)
def test_a_poll_that_finds_nothing_new_costs(s3, store, tmp_path, settings, requests):
    """The aliases; with `latest` and `all` also a list of versions and one of decisions."""
    mine = loader(store, tmp_path, **settings)
    before = mine.plan("tiny")
    with s3.recorded() as asked:
        assert mine.plan("tiny") == before
    assert [f"{each.method} {each.status}" for each in asked] == requests


def test_a_champion_whose_version_is_not_there_is_named_with_what_is(store, tmp_path):
    store.promote("tiny", 2)
    store._storage._delete(["tiny/2/manifest.json"])
    with pytest.raises(
        UnknownVersion, match=r"tiny has no version that is champion; the store has 1, 3, champion -> 2"
    ):
        loader(store, tmp_path).plan("tiny")
    with pytest.raises(UnknownModel, match=r"there is no model 'tiny' in the store \S+/none; it holds no model at all"):
        loader(store.within("none"), tmp_path).plan("tiny")
