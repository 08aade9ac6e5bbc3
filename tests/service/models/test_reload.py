"""Reloading with a real store and real networks: versions published, promoted, broken or deleted under load."""

import asyncio
import re
import resource
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.app import create_app
from service.errors import VersionNotLoaded
from service.models.loader import Loader
from service.models.registry import ModelRegistry
from service.models.store_thread import StoreThread
from service.models.store_watcher import StoreWatcher
from service.observability.metrics import Metrics
from service.settings import ServiceSettings
from service.state import make_state
from tests.load.swapping import swap
from tests.support.application import client_of
from tests.support.variants import publish_variant
from training import mnist
from training.network import compiled
from training.network.layers import Dense, Flatten
from training.predictor import Predictor
from training.store import Store, manifest

pytestmark = pytest.mark.anyio
OCTETS = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
IMAGES = mnist.train().images[:8]


@pytest.fixture
def store(trained_store, tmp_path, monkeypatch) -> Store:
    """A copy of the store with version 1 of `tiny`, to be changed."""
    # both are for a whole process
    monkeypatch.setattr("training.predictor.compute_alone", lambda _: compiled.Threads(inline_rows=1))
    monkeypatch.setattr("training.predictor.keep_compiled", lambda *_: None)
    shutil.copytree(trained_store.path / "tiny", tmp_path / "store" / "tiny")
    return Store(tmp_path / "store")


@asynccontextmanager
async def serving(store, **settings):
    """A client of the service, its watcher, and what it has loaded."""
    chosen, metrics = ServiceSettings(store=str(store.path), model="tiny", poll_interval_s=0, **settings), Metrics()
    registry = ModelRegistry()
    thread = StoreThread(chosen.load_timeout_s)
    watcher = StoreWatcher(Loader(chosen, metrics), registry, metrics, thread, chosen.poll_interval_s)
    await watcher.start()
    app = create_app(make_state(chosen, registry=registry, watcher=watcher, metrics=metrics))
    async with client_of(app) as client:
        yield client, watcher, registry


async def asked_meanwhile(client, work):
    """The answers to requests that are asked as long as the work lasts, and at least ten."""
    working, answers = asyncio.ensure_future(work), []
    while not working.done() or len(answers) < 10:
        answers.append(await client.post("/predict", content=IMAGES.tobytes(), headers=OCTETS))
    await working
    return answers


def compilations(metrics) -> str:
    return re.search(r"^digits_compilations_after_ready_total (.*)$", metrics.text, re.MULTILINE)[1]


def test_versions_are_swapped_under_load_without_a_failed_or_a_mixed_up_answer(trained_store, tmp_path):
    shutil.copytree(trained_store.path / "tiny", tmp_path / "tiny")
    outcome = swap(Store(tmp_path), "tiny", swaps=4, clients=8)
    assert (outcome.swaps, outcome.failed, outcome.mixed) == (4, [], 0)
    assert sorted(outcome.answers) == [1, 2]
    assert min(outcome.answers.values()) > 30


async def test_a_promoted_version_answers_with_its_own_probabilities_and_compiles_nothing_for_a_request(store):
    publish_variant(store, "tiny", 0.5)  # which compiles, too
    async with serving(store) as (client, watcher, _):
        store.promote("tiny", 2)
        answers = await asked_meanwhile(client, watcher.sync())
        answers.append(await client.post("/predict", content=IMAGES.tobytes(), headers=OCTETS))
        metrics = (await client.get("/metrics")).text  # before this test compiles anything itself
        right = {version: Predictor.load(store, "tiny", version)(IMAGES) for version in (1, 2)}
        seen = []
        for answer in answers:
            said = answer.json()
            seen.append(said["model"]["version"])
            given = [prediction["probabilities"] for prediction in said["predictions"]]
            np.testing.assert_allclose(given, right[seen[-1]], atol=1e-5)
        assert (seen[0], seen[-1]) == (1, 2)
        assert "digits_compilations_after_ready_total 0.0" in metrics


def flipped_bit(version: Path) -> None:
    largest = max((path for path in version.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def half_written(version: Path) -> None:
    for path in sorted(path for path in version.rglob("*") if path.is_file())[1::2]:
        path.unlink()


def without_manifest(version: Path) -> None:
    (version / "manifest.json").unlink()


def deleted(version: Path) -> None:
    shutil.rmtree(version)


def unreadable(version: Path) -> None:
    (version / "card.json").unlink()
    (version / "card.json").mkdir()


@pytest.mark.parametrize("damage", [flipped_bit, half_written, without_manifest, unreadable])
async def test_a_version_that_is_damaged_is_refused_while_the_running_one_answers(store, damage):
    async with serving(store) as (client, watcher, _registry):
        publish_variant(store, "tiny", 0.5)
        store.promote("tiny", 2)
        damage(Path(store.path) / "tiny" / "2")
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}
        (rejected,) = watcher.rejected
        assert rejected.title == "tiny version 2"
        assert str(Path(store.path) / "tiny" / "2") in str(rejected.error)


async def test_a_version_whose_weights_are_those_of_other_layers_is_refused(store):
    async with serving(store) as (client, watcher, _registry):
        card, params = store.load("tiny", 1)
        other = msgspec.structs.replace(card, layers=(Flatten(), Dense(7, activation="relu"), Dense(10)))
        store.publish(other, params)
        store.promote("tiny", 2)
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}
        assert "does not hold the weights of the card's layers" in str(watcher.rejected[0].error)


async def test_a_version_of_other_layers_that_is_whole_takes_the_place_of_the_running_one(store):
    from tests.support.small import QUICK, nobody_watching
    from training.fitting.job import run

    async with serving(store) as (client, watcher, _registry):
        layers = (Flatten(), Dense(7, activation="relu"), Dense(10))
        digits = mnist.train().take(np.arange(2000))
        run(store, "tiny", layers, QUICK, digits, source="a test", resume=False, watching=nobody_watching)
        store.promote("tiny", 2)
        compiled._compile.cache_clear()  # training has compiled it, and not in this process as a rule
        before = compilations(await client.get("/metrics"))
        answers = await asked_meanwhile(client, watcher.sync())
        assert {answer.status_code for answer in answers} == {200}
        assert compilations(await client.get("/metrics")) == before, "no request had to wait for one"
        assert (await client.get("/models/tiny/versions/champion")).json()["card"]["layers"][1]["features"] == 7


async def test_a_version_that_is_deleted_while_it_answers_goes_on_answering(store):
    async with serving(store) as (client, watcher, _registry):
        publish_variant(store, "tiny", 0.5)
        deleted(Path(store.path) / "tiny" / "1")
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}
        assert "tiny has no version that is champion; the store has 2, champion -> 1" in str(watcher.rejected[0].error)
        deleted(Path(store.path))
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}


@pytest.mark.parametrize("versions", ["champion", "all", "champion,previous"])
async def test_a_champion_that_is_deleted_is_not_followed_by_its_challenger(store, versions):
    publish_variant(store, "tiny", 0.5)
    store.challenge("tiny", 2)
    async with serving(store, versions=versions, canary_share=0.001) as (_, watcher, registry):
        deleted(Path(store.path) / "tiny" / "1")
        await watcher.sync()
        assert (registry.resolve().version, len(watcher.rejected)) == (1, 1)


async def test_the_latest_version_answers_where_that_is_wanted_unless_the_gate_has_refused_it(store):
    publish_variant(store, "tiny", 0.5)
    publish_variant(store, "tiny", 0.6)
    store.challenge("tiny", 3)
    store.keep_decision("tiny", 3, b'{"model": "tiny", "decision": {"passed": false, "criteria": []}}')
    async with serving(store, versions="latest", shadow_share=0.001) as (_, watcher, registry):
        assert (registry.resolve().version, sorted(of.version for of in registry.versions())) == (2, [2, 3])
        publish_variant(store, "tiny", 0.7)
        await watcher.sync()
        assert registry.resolve().version == 4


async def test_on_a_full_disk_nothing_is_promoted_by_half_and_afterwards_all_goes_on(store):
    async with serving(store) as (client, watcher, registry):
        publish_variant(store, "tiny", 0.5)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))  # what is longer cannot be written
        try:
            with pytest.raises(OSError, match="File too large"):
                store.promote("tiny", 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}
        assert {path.name for path in (store.path / "tiny").iterdir()} == {"1", "2", "aliases.json", "changes.jsonl"}
        store.promote("tiny", 2)
        await watcher.sync()
        assert registry.resolve().version == 2


async def test_several_versions_and_models_answer_at_once(store):
    shutil.copytree(store.path / "tiny", store.path / "other")
    publish_variant(store, "tiny", 0.5)
    async with serving(store, versions="all", other_models="*") as (client, _, registry):
        assert [(version.name, version.version) for version in registry.versions()] == [
            ("tiny", 1),
            ("tiny", 2),
            ("other", 1),
        ]
        for model, version in (("tiny", 1), ("tiny", 2), ("other", 1)):
            path = f"/predict?model={model}&version={version}"
            answer = await client.post(path, content=IMAGES.tobytes(), headers=OCTETS)
            assert answer.json()["model"] == {"name": model, "version": version}
        with pytest.raises(VersionNotLoaded):
            registry.resolve("tiny", "3")


async def test_a_version_whose_number_has_no_room_in_32_bits_stays_out_and_the_running_one_goes_on(store):
    shutil.copytree(store.path / "tiny" / "1", store.path / "tiny" / "5000000000")
    async with serving(store) as (client, watcher, _):
        (store.path / "tiny" / "aliases.json").write_text('{"champion": 5000000000}')
        answers = await asked_meanwhile(client, watcher.sync())
        assert {(answer.status_code, answer.json()["model"]["version"]) for answer in answers} == {(200, 1)}
        (rejected,) = watcher.rejected
        path = store.path / "tiny" / "5000000000"
        assert str(rejected.error) == f"{path} has the number 5000000000, want at most 2147483647"


async def test_a_card_with_100_000_layers_stays_out_at_once(store):
    """The watcher was busy for minutes."""
    shutil.copytree(store.path / "tiny" / "1", store.path / "tiny" / "2")
    path = store.path / "tiny" / "2" / "card.json"
    card = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(card | {"layers": [{"kind": "flatten"}] * 100_000}))
    manifest.write(store.path / "tiny" / "2")
    async with serving(store) as (client, watcher, _):
        store.promote("tiny", 2)
        async with asyncio.timeout(20):
            await watcher.sync()
        (rejected,) = watcher.rejected
        assert str(rejected.error) == "the network has 100,000 layers, want at most 200"
        assert (await client.get("/models")).json()["models"][0]["version"] == 1
