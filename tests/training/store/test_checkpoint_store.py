"""The store of versions: publishing, reading, damage found by the manifest, and publishers killed halfway."""

import base64
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from random import randrange

import jax
import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.examples import examples
from training.filesystem import locked
from training.store import Store, UnknownModel, UnknownVersion, manifest
from training.store.card import EpochRow
from training.store.manifest import MANIFEST, CorruptVersion, StoreError


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def processes():
    """Processes that have imported JAX but not started it: forking after that could hang."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.training.store.test_checkpoint_store", "orbax.checkpoint", "training.network.module"]
    )
    return context


def plain(params):
    """The weights as NumPy arrays, to hand to another process."""
    return jax.tree.map(np.asarray, params)


def assert_whole(store: Store, model: str, params) -> None:
    """Every version there is loads, and as it was published."""
    for version in store.versions(model):
        _, loaded = store.load(model, version)
        jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_a_version_is_read_back_as_it_was_published(store, trained):
    card, params = trained
    assert store.models() == []
    assert store.publish(card, params) == 1
    assert store.publish(card, params) == 2
    loaded, weights = store.load("tiny", 2)
    assert loaded == card
    jax.tree.map(np.testing.assert_array_equal, weights, params)
    assert (store.models(), store.versions("tiny")) == (["tiny"], [1, 2])


def test_a_version_holds_orbax_weights_a_card_and_a_manifest_and_the_folder_nothing_else(store, trained):
    store.publish(*trained)
    assert sorted(p.name for p in (store.path / "tiny").iterdir()) == ["1", "aliases.json", "changes.jsonl"]
    assert sorted(p.name for p in (store.path / "tiny" / "1").iterdir()) == [
        "card.json",
        "history.jsonl",
        MANIFEST,
        "params",
    ]
    lines = (store.path / "tiny" / "1" / "history.jsonl").read_bytes()
    assert tuple(msgspec.json.Decoder(EpochRow).decode_lines(lines)) == trained[0].history


def test_a_relative_path_and_one_in_the_home_directory_are_stores(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Store("near").publish(*trained)
    Store("~/far").publish(*trained)
    for path in (tmp_path / "near", tmp_path / "home" / "far"):
        assert Store(path).load("tiny", 1)[0] == trained[0]


def test_the_first_version_becomes_champion_and_the_second_does_not(store, trained):
    store.publish(*trained)
    store.publish(*trained)
    assert store.aliases("tiny") == {"champion": 1}


def test_a_store_whose_owner_has_a_number_and_no_name_is_read_as_any_other(store, trained, monkeypatch):
    def nobody(number: int) -> None:
        raise KeyError(f"uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("grp.getgrgid", nobody)
    store.publish(*trained)
    store.promote("tiny", store.publish(*trained))
    store.verify("tiny", 2)
    assert store.aliases("tiny") == {"champion": 2, "previous": 1}
    assert store.size_bytes("tiny", 2) == sum(
        len(path.read_bytes())
        for path in (store.path / "tiny" / "2").rglob("*")
        if path.is_file() and path.name != MANIFEST
    )
    assert store.load("tiny", 1)[0] == store.card("tiny", 1)


def test_what_is_not_there_is_named_together_with_what_is(store, trained):
    with pytest.raises(UnknownModel, match=r"there is no model 'tiny' in the store .*; it holds no model at all"):
        store.resolve("tiny", 1)
    store.publish(*trained)
    with pytest.raises(UnknownModel, match=r"there is no model 'lenet' in the store .*; it holds tiny"):
        store.resolve("lenet", "champion")
    for version in (2, "2", "challenger", "01", "-1", ""):
        with pytest.raises(UnknownVersion, match=rf"no version '{version}' of tiny .*; it holds 1, champion -> 1"):
            store.resolve("tiny", version)
    assert store.resolve("tiny", "1") == store.resolve("tiny", "champion") == 1


def test_a_name_that_is_misspelt_is_told_with_the_nearest_one(store, trained):
    store.publish(*trained)
    with pytest.raises(UnknownModel, match=r"; it holds tiny; did you mean tiny\?$"):
        store.resolve("tinny", 1)
    with pytest.raises(UnknownVersion, match=r"; it holds 1, champion -> 1; did you mean champion\?$"):
        store.resolve("tiny", "champoin")
    with pytest.raises(UnknownModel, match=r"'tiny:1' is no model name: .*; a version is named apart from its model$"):
        store.resolve("tiny:1", "champion")


@pytest.mark.parametrize("name", ["..", "", "a/b", "Lenet", ".runs", "a" * 65])
def test_a_name_that_could_leave_the_store_is_no_model(store, name):
    with pytest.raises(UnknownModel, match="is no model name"):
        store.versions(name)


def test_an_alias_of_a_version_that_is_gone_is_not_followed(store, trained):
    store.publish(*trained)
    store.publish(*trained)
    store.promote("tiny", 2)
    shutil.rmtree(store.path / "tiny" / "2")
    with pytest.raises(UnknownVersion, match="no version 'champion' of tiny"):
        store.resolve("tiny", "champion")
    assert store.publish(*trained) == 3, "a number that an alias remembers is not given again"


def test_one_flipped_bit_in_any_file_is_refused_with_the_name_of_the_file(store, trained):
    store.publish(*trained)
    files = [path for path in (store.path / "tiny" / "1").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        good = path.read_bytes()
        for place in {0, len(good) // 2, len(good) - 1} if good else {0}:
            bad = bytearray(good or b"\0")
            bad[place] ^= 0x01
            path.write_bytes(bad)
            with pytest.raises(CorruptVersion) as refusal:
                store.load("tiny", 1)
            assert str(path) in str(refusal.value)
        path.write_bytes(good)
    store.load("tiny", 1)


def test_a_missing_file_and_one_too_many_are_refused_by_name(store, trained):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    (folder / "params" / "more").write_bytes(b"")
    with pytest.raises(CorruptVersion, match="params/more is not in the manifest"):
        store.load("tiny", 1)
    (folder / "params" / "more").unlink()
    (folder / "card.json").unlink()
    with pytest.raises(CorruptVersion, match=r"card\.json is missing"):
        store.card("tiny", 1)


def test_a_version_without_a_manifest_is_refused_by_name_and_another_folder_is_no_version(store, trained):
    store.publish(*trained)
    (store.path / "tiny" / "notes").mkdir()
    (store.path / "tiny" / "1" / "manifest.json").unlink()
    assert store.versions("tiny") == [1]
    with pytest.raises(CorruptVersion, match=r"manifest\.json is missing"):
        store.load("tiny", 1)


def test_a_link_to_nowhere_and_a_folder_in_place_of_a_file_are_refused_by_name(store, trained):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    (folder / "more").symlink_to("nowhere")
    with pytest.raises(CorruptVersion, match="more is missing"):
        store.load("tiny", 1)
    (folder / "more").unlink()
    (folder / "card.json").unlink()
    (folder / "card.json").mkdir()
    with pytest.raises(CorruptVersion, match=r"card\.json cannot be read: Is a directory"):
        store.card("tiny", 1)


def test_damaged_aliases_are_refused_by_name(store, trained):
    store.publish(*trained)
    (store.path / "tiny" / "aliases.json").write_text('{"champion": ')
    with pytest.raises(StoreError, match=r"aliases\.json is damaged"):
        store.resolve("tiny", "champion")


def publish_until(path: Path, card: bytes, params, point: int) -> None:
    """Publishes a version, and dies at the given one of the moments at which Python touches the store."""
    from training.store.card import Card

    moments = 0

    def die_at_the_moment(event: str, args: tuple) -> None:
        nonlocal moments
        if event in WRITES and any(
            isinstance(arg, str | os.PathLike) and os.fspath(arg).startswith(str(path)) for arg in args
        ):
            moments += 1
            if moments == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die_at_the_moment)
    Store(path).publish(msgspec.json.decode(card, type=Card), params)
    os._exit(0)


WRITES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}


def test_a_publisher_killed_at_any_moment_leaves_a_store_that_loads(store, trained, processes):
    """One process for each moment, until one gets through; there are some eighty of them.

    `make test` takes every eighth one, another one first each time; `make test-all` takes all.
    """
    card, params = trained
    store.publish(card, params)
    encoded, weights = msgspec.json.encode(card), plain(params)
    step = 8 if examples(100) < 100 else 1
    for point in count(randrange(step) + 1, step):
        before = store.versions("tiny")
        process = processes.Process(target=publish_until, args=(store.path, encoded, weights, point))
        process.start()
        process.join(timeout=60)
        assert store.versions("tiny") in (before, [*before, before[-1] + 1])
        assert_whole(store, "tiny", params)
        assert store.resolve("tiny", "champion") == 1
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert point > 50
    assert list((store.path / "tiny").glob(".*")) == [], "what the dead left is gone"


def publish_many(path: Path, card: bytes, params, start, count: int) -> None:
    from training.store.card import Card

    start.wait()
    for _ in range(count):
        Store(path).publish(msgspec.json.decode(card, type=Card), params)
    os._exit(0)


def test_two_processes_that_publish_at_once_get_a_version_each_and_all_are_whole(store, trained, processes):
    card, params = trained
    start = processes.Barrier(2)
    args = (store.path, msgspec.json.encode(card), plain(params), start, 5)
    writers = [processes.Process(target=publish_many, args=args) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.versions("tiny") == list(range(1, 11))
    assert_whole(store, "tiny", params)
    assert store.aliases("tiny") in ({"champion": 1}, {"champion": 2}), "whichever was whole first"


def test_a_version_that_another_process_has_just_finished_is_no_dead_writer(store, trained, monkeypatch):
    store.publish(*trained)
    (store.path / "tiny" / ".new-other").mkdir()

    def finished_before(path, *, wait=True):
        if path.name == ".new-other" and path.exists():
            path.rename(path.parent / "2")
        return locked(path, wait=wait)

    monkeypatch.setattr("training.filesystem.locked", finished_before)
    assert store.publish(*trained) == 3
    assert (store.path / "tiny" / "2").is_dir()


def test_a_full_disk_while_publishing_leaves_no_trace(store, trained, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    store.publish(*trained)
    monkeypatch.setattr("training.store.local_storage.flush_tree", full)
    with pytest.raises(OSError, match="No space left"):
        store.publish(*trained)
    assert store.versions("tiny") == [1]
    assert list((store.path / "tiny").glob(".*")) == []


def test_a_card_of_another_format_is_refused(store, trained):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    (folder / "card.json").write_text((folder / "card.json").read_text().replace('"seed"', '"sead"'))
    manifest.write(folder)
    with pytest.raises(StoreError, match=r"card\.json is not a card of format 3: Object contains unknown field `sead`"):
        store.card("tiny", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card | {"format": 4}, "Expected `int` <= 3 - at `$.format`"),
        (lambda card: card | {"weights": 2**60}, "Expected `int` <= 9007199254740992 - at `$.weights`"),
        (lambda card: card | {"weights": 10**30}, "Expected `int` <= 9007199254740992 - at `$.weights`"),
        (
            lambda card: card | {"calibration": {"temperature": 0}},
            "Expected `float` >= 0.001 - at `$.calibration.temperature`",
        ),
        (lambda card: card | {"calibration": {"temperature": None}}, "Expected `float`, got `null`"),
        (
            lambda card: card | {"layers": [{"kind": "input", "axes": [5], "classes": 10}, *card["layers"]]},
            "layers hold an input layer, want none: a version reads digits",
        ),
        (
            lambda card: card | {"layers": [{"kind": "reshape", "to": [1] * 9 + [784]}, *card["layers"]]},
            "Expected `array` of length <= 8 - at `$.layers[0].to`",
        ),
        (
            lambda card: card | {"golden": card["golden"] | {"pixels": ""}},
            "golden pixels are 0 bytes, want 784 for each of one or more pictures - at `$.golden`",
        ),
        (
            lambda card: card | {"golden": card["golden"] | {"probabilities": card["golden"]["probabilities"][1:]}},
            "golden probabilities have other numbers than 10 for each of",
        ),
        (
            lambda card: card | {"golden": card["golden"] | {"novelty": [0.5]}},
            "golden novelty has 1 numbers, want one for each of",
        ),
        (lambda card: trusted(card, "novelty", means="AAAA"), "means has 3 bytes, want 640: float32 [10, 16]"),
        (
            lambda card: trusted(card, "novelty", means=base64.b64encode(b"\xff" * 640).decode()),
            "means has numbers that are not finite - at `$.trust.novelty`",
        ),
        (
            lambda card: trusted(card, "novelty", head="AAAA"),
            "head has 3 bytes, want a multiple of 96: float16 [m, 48]",
        ),
        (
            lambda card: trusted(card, "novelty", head=base64.b64encode(b"\xff" * 96).decode()),
            "head has numbers that are not finite - at `$.trust.novelty`",
        ),
        (lambda card: trusted(card, "sets", lowest=[]), "Expected `array` of length >= 1 - at `$.trust.sets.lowest`"),
        (lambda card: trusted(card, "sets", held_out=0), "Expected `int` >= 1 - at `$.trust.sets.held_out`"),
        (
            lambda card: trusted(card, "reference", digit={"edges": [0.5, 1.5], "counts": [1, 2]}),
            "a histogram has 2 counts, want 3: one more than edges - at `$.trust.reference.digit`",
        ),
        (
            lambda card: trusted(card, "reference", digit={"edges": [], "counts": [1]}),
            "Expected `array` of length >= 1 - at `$.trust.reference.digit.edges`",
        ),
        (
            lambda card: trusted(card, "reference", digit={"edges": [1.5, 0.5], "counts": [1, 2, 3]}),
            "the edges of a histogram do not ascend - at `$.trust.reference.digit`",
        ),
        (
            lambda card: trusted(card, "reference", digit={"edges": [0.5], "counts": [0, 0]}),
            "a histogram has no counts above 0 - at `$.trust.reference.digit`",
        ),
    ],
)
def test_a_card_with_numbers_that_would_fail_every_prediction_is_refused_when_it_is_read(
    store, trained, change, message
):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(change(card)))
    manifest.write(folder)
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        store.load("tiny", 1)
    assert str(caught.value).startswith(f"{folder}/card.json is not a card of format 3: ")


def trusted(card, part, **values):
    """The card with other values in a part of `trust`."""
    return card | {"trust": card["trust"] | {part: card["trust"][part] | values}}


def test_a_card_nested_without_end_is_refused(store, trained):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    card = json.loads((folder / "card.json").read_text())
    layers, recipe = json.dumps(card["layers"]), json.dumps(card["recipe"] | {"teacher": None})
    nested = recipe.replace("null", f'{{"layers": {layers}, "recipe": ') * 5000
    card = json.dumps(card | {"recipe": "HERE"}).replace('"HERE"', nested)
    (folder / "card.json").write_text(card)
    manifest.write(folder)
    with pytest.raises(StoreError, match=r"card\.json is not a card of format 3: "):
        store.load("tiny", 1)


def test_what_is_too_large_is_refused_before_it_is_read(store, trained, monkeypatch):
    store.publish(*trained)
    folder = store.path / "tiny" / "1"
    for name, limit in (("card.json", 8 * 2**20), ("manifest.json", 4 * 2**20), ("params/more", 2**30)):
        path = Path(folder / name)
        before = path.read_bytes() if path.exists() else None
        with path.open("ab") as file:
            file.truncate(limit + 1)  # a sparse file
        if name == "card.json":
            manifest.write(folder)
        with pytest.raises(StoreError, match=rf"/tiny/1\S* .*\bhas .*\b{limit:,}\b"):
            store.load("tiny", 1)
        path.unlink() if before is None else path.write_bytes(before)
        manifest.write(folder)
    aliases = store.path / "tiny" / "aliases.json"
    with aliases.open("ab") as file:
        file.truncate(2**20 + 1)
    with pytest.raises(StoreError, match=r"aliases\.json cannot be read: it has more than 1,048,576 bytes"):
        store.aliases("tiny")


def test_a_version_whose_number_has_no_room_in_32_bits_is_refused_and_not_counted_on(store, trained):
    """It loaded, and then failed every prediction."""
    store.publish(*trained)
    shutil.copytree(store.path / "tiny" / "1", store.path / "tiny" / "5000000000")
    message = r"/tiny/5000000000 has the number 5000000000, want at most 2147483647$"
    for refused in (store.card, store.verify, store.load, store.promote, store.challenge, store.size_bytes):
        with pytest.raises(StoreError, match=message):
            refused("tiny", 5000000000)
    assert store.publish(*trained) == 2
    (store.path / "tiny" / "2").rename(store.path / "tiny" / "2147483647")
    assert store.card("tiny", 2147483647).model == "tiny"
    with pytest.raises(StoreError, match=r"/tiny has the version 2147483647, the last one"):
        store.publish(*trained)
    assert store.versions("tiny") == [1, 2147483647, 5000000000]


def test_a_card_that_could_not_be_read_back_is_not_published(store, trained):
    """JSON has no word for a number that is not finite: a network that had diverged was once made champion so."""
    card, params = trained
    broken = replace(card, validation=replace(card.validation, log_loss=float("nan")))
    with pytest.raises(StoreError, match="the card of tiny could not be read back: Expected `float`, got `null`"):
        store.publish(broken, params)
    assert store.models() == []


def test_a_champion_that_is_gone_is_replaced_by_the_next_version(store, trained):
    store.publish(*trained)
    shutil.rmtree(store.path / "tiny" / "1")
    assert not store.has_champion("tiny")
    assert store.publish(*trained) == 2
    assert store.aliases("tiny") == {"champion": 2}


def test_everything_is_on_the_disk_before_the_version_appears(store, trained, monkeypatch):
    flushed, appeared = set(), []
    fsync, rename = os.fsync, type(store.path).rename

    def record(handle):
        flushed.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def watch(path, target):
        if Path(target).name == "1":
            appeared.append({str(p) for p in [Path(path), *Path(path).rglob("*")]} - flushed)
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(type(store.path), "rename", watch)
    store.publish(*trained)
    assert appeared == [set()], "files that had not been flushed"
    assert str(store.path / "tiny") in flushed
