"""The store in object storage: publishing, promoting and loading over S3, faults of the server, killed publishers."""

import itertools
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import randrange

import jax
import msgspec
import numpy as np
import pytest

from tests.support.examples import examples
from tests.support.s3 import BUCKET
from training.store import CHALLENGER, Store, UnknownVersion, object_storage
from training.store.aliases import AliasMoved
from training.store.manifest import MANIFEST, CorruptVersion, StoreError
from training.store.object_errors import StoreUnavailable

PARTS = r"/tiny/\d+/params/"
LISTS = "list-type=2"


@pytest.fixture
def store(s3_url, tmp_path) -> Store:
    return Store(s3_url, cache=tmp_path / "cache")


@pytest.fixture(scope="session")
def weights(trained_store) -> Path:
    """The weights of `trained` as Orbax writes them."""
    return trained_store.path / "tiny" / "1" / "params"


@pytest.fixture(autouse=True)
def copied(weights, monkeypatch):
    """Weights are copied where they would be written: Orbax takes a second, and cannot do it in two threads."""
    monkeypatch.setattr("training.distributed.checkpoint.save", lambda path, _: shutil.copytree(weights, path))


@pytest.fixture(scope="session")
def processes():
    """Processes that have imported JAX but not started it: forking after that could hang."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.training.store.test_object_storage", "training.distributed.checkpoint", "training.store.card"]
    )
    return context


def again(store: Store, tmp_path: Path) -> Store:
    """The store as another machine sees it: with an empty cache."""
    return Store(store.location, cache=tmp_path / "other")


def keys(store: Store) -> set[str]:
    """The keys of all objects of the store."""
    return set(store._storage._sizes(""))


def assert_whole(store: Store, params) -> None:
    """Every version there is loads, and as it was published."""
    for version in store.versions("tiny"):
        _, loaded = store.load("tiny", version)
        jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_a_version_is_read_back_as_it_was_published(store, trained, tmp_path):
    card, params = trained
    assert store.models() == []
    assert [store.publish(card, params), store.publish(card, params)] == [1, 2]
    other = again(store, tmp_path)
    loaded, weights = other.load("tiny", 2)
    assert loaded == card == other.card("tiny", "champion")
    jax.tree.map(np.testing.assert_array_equal, weights, params)
    assert (other.models(), other.versions("tiny"), other.aliases("tiny")) == (["tiny"], [1, 2], {"champion": 1})
    other.verify("tiny", 1)


def test_objects_are_named_as_files_of_a_store_on_disk_and_a_copy_either_way_is_a_store(store, trained, tmp_path):
    on_disk = Store(tmp_path / "disk")
    for each in (on_disk, store):
        each.publish(*trained)
        each.publish(*trained)
        each.promote("tiny", 2, why="better")
        each.keep_decision("tiny", 2, b'{"decision": {"passed": false}}')

    def shape(names):
        """Names without those of Orbax's data files, which are random, as is their number."""
        return {re.sub(r"/d/[0-9a-f]+$", "/d/…", name) for name in names}

    files = {str(path.relative_to(on_disk.path)): path for path in on_disk.path.rglob("*") if path.is_file()}
    assert shape(keys(store)) == shape(files)
    assert store.size_bytes("tiny", 1) > 1000
    for key in keys(store):
        path = tmp_path / "copied" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store._storage.read(key).data)
    copied, uploaded = Store(tmp_path / "copied"), store.within("uploaded")
    for key, path in files.items():
        assert uploaded._storage.replace(key, path.read_bytes(), None)
    for each in (copied, uploaded):
        assert_whole(each, trained[1])
        assert each.aliases("tiny") == {"champion": 2, "previous": 1}
        assert [(change.before, change.after) for change in each.changes("tiny")] == [(None, 1), (1, 2)]
        assert each.refused("tiny") == {2}
        assert each.rollback("tiny") == 1


def test_a_number_without_a_manifest_is_no_version_for_anybody(store, trained, tmp_path):
    store.publish(*trained)
    store.publish(*trained)
    store.promote("tiny", 2)
    store._storage._delete([f"tiny/2/{MANIFEST}"])
    other = again(store, tmp_path)
    assert (other.versions("tiny"), other.existing("tiny", [1, 2])) == ([1], [1])
    for version in (2, "champion"):
        with pytest.raises(UnknownVersion, match=rf"no version '{version}' of tiny .*; it holds 1, champion -> 2"):
            other.resolve("tiny", version)


def publish_once(url: str, cache: Path, environment, card: bytes, weights: Path) -> None:
    from training.distributed import checkpoint
    from training.store.card import Card

    os.environ |= environment
    checkpoint.save = lambda path, _: shutil.copytree(weights, path)
    Store(url, cache=cache).publish(msgspec.json.decode(card, type=Card), None)
    os._exit(0)


def test_a_publisher_killed_at_any_moment_leaves_a_store_that_loads(s3, store, trained, weights, processes, tmp_path):
    """One process for each request that a publisher sends, killed before the server does it, or before it answers.

    `make test` takes every fourth moment, `make test-all` all of them.
    """
    card, params = trained
    store.publish(card, params)
    encoded = msgspec.json.encode(card)
    step = 4 if examples(100) < 100 else 1
    killed = 0
    for moment in itertools.count(randrange(step), step):
        before = store.versions("tiny")
        arguments = (store.location, tmp_path / "cache", s3.environment, encoded, weights)
        process = processes.Process(target=publish_once, args=arguments)
        request, cut = moment // 2, ("before", "after")[moment % 2]
        with s3.fault(skip=request, times=1, cut=cut, call=lambda process=process: kill(process)):
            process.start()
            process.join(timeout=60)
        assert store.versions("tiny")[: len(before)] == before
        assert len(store.versions("tiny")) <= len(before) + 1
        assert again(store, tmp_path).resolve("tiny", "champion") == 1
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    assert killed >= 50 // step
    for version in store.versions("tiny"):  # with a cache for each, for the weights of all are the same
        Store(store.location, cache=tmp_path / f"of-{version}").verify("tiny", version)
    assert_whole(again(store, tmp_path), params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_storage, "CLAIM_LIFE_S", -1)
        newest = store.publish(card, params)
    files = {key.split("/")[1] for key in keys(store)} - {"aliases.json", "changes.jsonl"}
    assert files == {str(version) for version in store.versions("tiny")}, "what the dead left is gone"
    assert newest == store.versions("tiny")[-1]


def kill(process) -> None:
    os.kill(process.pid, signal.SIGKILL)


def test_publishers_at_once_get_a_version_each_and_all_are_whole(store, trained, tmp_path):
    stores = [Store(store.location, cache=tmp_path / f"cache-{number}") for number in range(3)]
    with ThreadPoolExecutor() as threads:
        numbers = list(threads.map(lambda each: [each.publish(*trained) for _ in range(2)], stores))
    assert sorted(itertools.chain(*numbers)) == store.versions("tiny") == [1, 2, 3, 4, 5, 6]
    assert_whole(store, trained[1])
    assert store.aliases("tiny")["champion"] in (1, 2, 3), "whichever was whole first"
    assert not [key for key in keys(store) if ".claims" in key]


def test_a_publisher_does_not_write_below_a_version_that_a_late_list_lacks(s3, store, trained, tmp_path):
    store.publish(*trained)
    with s3.fault(path=LISTS, as_before=True):
        assert store.versions("tiny") == [1]
        assert store.publish(*trained) == 2
        before = keys(again(store, tmp_path).within("nothing"))
        assert (before, store.versions("tiny")) == (set(), [1]), "as before"
        assert store.resolve("tiny", 2) == 2, "a version that is asked for is found"
        assert again(store, tmp_path).publish(*trained) == 3
    assert store.versions("tiny") == [1, 2, 3]
    assert_whole(store, trained[1])


def test_what_a_publisher_has_left_is_removed_when_it_is_a_day_old_and_not_before(s3, store, trained, monkeypatch):
    store.publish(*trained)
    with s3.fault(method="PUT", path=MANIFEST, status=403, code="AccessDenied"), pytest.raises(StoreUnavailable):
        store.publish(*trained)
    assert any(key.startswith("tiny/2/") for key in keys(store)), "nobody knows whether the manifest was written"
    assert store.publish(*trained) == 3
    assert any(key.startswith("tiny/2/") for key in keys(store))
    monkeypatch.setattr(object_storage, "CLAIM_LIFE_S", -1)
    assert store.publish(*trained) == 4
    assert not any(key.startswith("tiny/2/") or ".claims" in key for key in keys(store))
    assert store.versions("tiny") == [1, 3, 4]


def test_a_publisher_that_was_taken_for_dead_gives_up(store, trained, tmp_path, monkeypatch):
    store.publish(*trained)
    upload = object_storage.ObjectStorage._upload

    def slowly(self, version, staged):
        upload(self, version, staged)
        monkeypatch.setattr(object_storage.ObjectStorage, "_upload", upload)
        monkeypatch.setattr(object_storage, "CLAIM_LIFE_S", -1)
        assert again(store, tmp_path).publish(*trained) == 3

    monkeypatch.setattr(object_storage.ObjectStorage, "_upload", slowly)
    with pytest.raises(StoreError, match=r"claims/2\.json is of another publisher: the upload took longer than a day"):
        store.publish(*trained)
    assert store.versions("tiny") == [1, 3]
    assert not [key for key in keys(store) if key.startswith("tiny/2/") or ".claims" in key]


def test_an_upload_that_fails_leaves_nothing(s3, store, trained):
    store.publish(*trained)
    before = keys(store)
    refused = pytest.raises(StoreUnavailable, match=r"/tiny/2/params/\S+ is not available: access is denied")
    with s3.fault(method="PUT", path="/params/", status=403, code="AccessDenied", skip=3), refused:
        store.publish(*trained)
    assert keys(store) == before


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("path", ["claims/2", "manifest.json", "aliases.json", "changes.jsonl"])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_write_whose_answer_is_lost_is_done_once(s3, s3_url, trained, request, tmp_path, cut, path, repeats):
    if not repeats:
        request.getfixturevalue("impatient")
    store = Store(s3_url, cache=tmp_path / "cache")
    store.publish(*trained)
    with s3.fault(method="PUT", path=path, cut=cut, times=1) as fault:
        try:
            version = store.publish(*trained)
            store.promote("tiny", version)
        except StoreUnavailable:
            assert (cut, repeats) == ("before", False), "what was written is found again"
            version = store.publish(*trained)
            store.promote("tiny", version)
    assert fault.met == 1
    assert store.aliases("tiny") == {"champion": version, "previous": 1}
    assert [(change.before, change.after) for change in store.changes("tiny")][-1] == (1, version)
    assert_whole(store, trained[1])


def test_a_hundred_promotions_at_once_are_all_made_and_logged_one_after_the_other(store, trained, tmp_path):
    for _ in range(2):
        store.publish(*trained)

    def promote(number):
        mine = Store(store.location, cache=tmp_path / "cache")
        return mine.promote("tiny", number % 2 + 1, why=f"number {number}")

    with ThreadPoolExecutor(100) as threads:
        assert list(threads.map(promote, range(100))) == [1, 2] * 50
    changes = store.changes("tiny")
    assert all(before.after == after.before for before, after in pairwise(changes)), "each starts from the one before"
    assert changes[-1].after == store.aliases("tiny")["champion"]
    assert len(changes) == len({change.why for change in changes}), "no change is logged twice"


def test_of_promotions_at_once_instead_of_the_same_champion_one_is_made(store, trained):
    for _ in range(5):
        store.publish(*trained)

    def promote(version):
        try:
            return Store(store.location).promote("tiny", version, instead_of=1)
        except AliasMoved:
            return None

    with ThreadPoolExecutor(4) as threads:
        (champion,) = filter(None, threads.map(promote, (2, 3, 4, 5)))
    assert store.aliases("tiny") == {"champion": champion, "previous": 1}
    assert [(change.before, change.after) for change in store.changes("tiny")] == [(None, 1), (1, champion)]


def test_aliases_that_others_keep_changing_are_given_up_with_an_error(store, trained, monkeypatch):
    for _ in range(2):
        store.publish(*trained)
    replace = object_storage.ObjectStorage.replace
    moved = iter(range(10**6))

    def after_another_one(self, key, data, tag):
        if key.endswith("aliases.json"):
            (read,) = [self.read(key)]
            replace(self, key, b'{"champion": 1, "changed_us": %d}' % next(moved), read.tag)
        return replace(self, key, data, tag)

    monkeypatch.setattr(object_storage.ObjectStorage, "replace", after_another_one)
    monkeypatch.setattr("training.store.aliases.PATIENCE_S", 0.2)
    with pytest.raises(StoreError, match=r"/tiny/aliases\.json was changed by others for 0\.2 s on end"):
        store.promote("tiny", 2)
    assert [(change.before, change.after) for change in store.changes("tiny")] == [(None, 1)], "no line is left"


def test_a_damaged_or_missing_object_is_refused_by_its_url(s3, store, trained, tmp_path):
    store.publish(*trained)
    store.publish(*trained)
    objects = s3.objects.buckets[BUCKET]
    for key in sorted(keys(store)):
        path = f"{store.location}/{key}".removeprefix(f"s3://{BUCKET}/")
        if not key.startswith("tiny/1/") or not objects[path].data:
            continue
        good = objects[path]
        bad = bytearray(good.data)
        bad[len(bad) // 2] ^= 1
        objects[path] = good._replace(data=bytes(bad))
        with pytest.raises(CorruptVersion, match=rf"s3://\S*/{re.escape(key)} is damaged"):
            again(store, tmp_path / key).load("tiny", 1)
        del objects[path]
        missing = UnknownVersion if key.endswith(MANIFEST) else CorruptVersion
        with pytest.raises(missing, match=r"is missing, the manifest wants it|no version '1'"):
            again(store, tmp_path / key).load("tiny", 1)
        objects[path] = good
    again(store, tmp_path).load("tiny", 1)


def test_what_is_too_large_is_refused_before_it_is_downloaded(s3, store, trained, tmp_path, monkeypatch):
    store.publish(*trained)
    monkeypatch.setattr(object_storage, "VERSION_LIMIT_BYTES", 1000)
    with pytest.raises(StoreError, match=r"/tiny/1 has [\d,]+ bytes and more in its files, want at most 1,000"):
        store.verify("tiny", 1)
    monkeypatch.setattr("training.store.checkpoint_store.CARD_LIMIT_BYTES", 100)
    with pytest.raises(CorruptVersion, match=r"/tiny/1/card\.json cannot be read: it has more than 100 bytes"):
        store.card("tiny", 1)
    monkeypatch.setattr("training.store.aliases.LIMIT_BYTES", 10)
    with pytest.raises(StoreError, match=r"/tiny/aliases\.json cannot be read: it has more than 10 bytes"):
        again(store, tmp_path).aliases("tiny")


@pytest.mark.parametrize("name", ["../out", "/out", "a//b", "a/../b", ""])
def test_a_manifest_that_names_a_file_outside_of_its_version_is_refused(store, trained, name):
    from training.store import manifest

    store.publish(*trained)
    read = store._storage.read(f"tiny/1/{MANIFEST}")
    assert store._storage.replace(f"tiny/1/{MANIFEST}", manifest._encode({name: "0" * 64}), read.tag)
    with pytest.raises(CorruptVersion, match=r"manifest\.json names .*, want paths inside the version"):
        store.load("tiny", 1)


def test_a_file_whose_connection_breaks_in_the_middle_is_read_again(s3, store, trained, tmp_path):
    store.publish(*trained)
    with s3.fault(method="GET", path=r"/d/|card\.json", cut="middle", times=2) as fault:
        assert again(store, tmp_path).load("tiny", 1)[0] == trained[0]
    assert fault.met == 2


def test_errors_of_the_server_that_pass_are_not_noticed(s3, store, trained):
    with s3.fault(status=503, code="SlowDown", times=3) as fault:
        store.publish(*trained)
    assert fault.met == 3
    with s3.fault(path="aliases", status=500, times=2):
        assert store.promote("tiny", 1) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 400, "code": "ExpiredToken"}, r"the credentials have expired \(ExpiredToken\)"),
        ({"status": 403, "code": "AccessDenied"}, r"access is denied \(AccessDenied\)"),
        ({"status": 404, "code": "NoSuchBucket"}, r"there is no such bucket \(NoSuchBucket\)"),
        ({"status": 500}, r"injected \(InternalError\)"),
        ({"delay_s": 5.0}, "it has not answered in time"),
        ({"cut": "before"}, ".+"),
    ],
)
@pytest.mark.parametrize("call", ["versions", "aliases", "load", "publish", "promote"])
def test_what_object_storage_refuses_is_one_line_that_says_why(
    s3, s3_url, trained, impatient, monkeypatch, tmp_path, fault, reason, call
):
    if "delay_s" in fault:
        monkeypatch.setattr(object_storage, "CLIENT", {"timeout": "200ms"})
    store = Store(s3_url, cache=tmp_path / "cache")
    calls = {
        "versions": lambda: store.versions("tiny"),
        "aliases": lambda: store.aliases("tiny"),
        "load": lambda: store.load("tiny", 1),
        "publish": lambda: store.publish(*trained),
        "promote": lambda: store.promote("tiny", 1),
    }
    with s3.fault(**fault), pytest.raises(StoreUnavailable) as refusal:
        calls[call]()
    assert re.fullmatch(rf"s3://\S+ is not available: {reason}", str(refusal.value))
    assert len(str(refusal.value)) < 400


@pytest.fixture
def impatient(monkeypatch):
    """Stores that are opened from now on repeat no request."""
    monkeypatch.setattr(object_storage, "RETRIES", {"max_retries": 0})


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, r"nobody listens at the endpoint \(connection refused\)"),
        ({"AWS_ENDPOINT_URL": "http://nowhere.invalid"}, "the name of the endpoint is unknown"),
        ({"AWS_ACCESS_KEY_ID": "otto"}, r"the access key is unknown \(InvalidAccessKeyId\)"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"the secret access key is wrong \(SignatureDoesNotMatch\)"),
    ],
)
def test_wrong_settings_of_the_environment_are_named(s3_url, impatient, monkeypatch, environment, reason):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreUnavailable, match=rf"^{re.escape(s3_url)}/tiny is not available: {reason}$"):
        Store(s3_url).versions("tiny")


@pytest.mark.parametrize("url", ["https://example.org/store", "ftp://a/b", "file:///tmp/store", "S3://bucket"])
def test_a_url_of_another_kind_is_refused_by_its_scheme(url):
    scheme = url.partition(":")[0]
    with pytest.raises(StoreError, match=rf"^store '{scheme}://…': want a folder, s3://, gs:// or az://$"):
        Store(url)


def test_without_the_extra_its_installation_is_named():
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from training.store import Store\n"
        "Store('.')\n"
        "try: Store('s3://bucket')\n"
        "except Exception as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == "a store in object storage wants the package obstore: pip install -e .[object-storage]\n"


def test_aliases_that_have_not_changed_cost_one_answer_without_a_body(s3, store, trained):
    store.publish(*trained)
    assert (store.aliases("tiny"), store.existing("tiny", [1])) == ({"champion": 1}, [1])
    with s3.recorded() as requests:
        for _ in range(3):
            assert store.aliases("tiny") == {"champion": 1}
            assert store.existing("tiny", [1]) == [1]
    assert [(request.method, request.status) for request in requests] == [("GET", 304)] * 3
    store.challenge("tiny", 1)
    assert store.aliases("tiny") == {"champion": 1, CHALLENGER: 1}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("az://container/store", "cannot be opened: Generic MicrosoftAzure error: Account must be specified"),
        ("s3://", "names no bucket, want s3://BUCKET/PREFIX"),
    ],
)
def test_a_url_that_is_not_complete_is_refused(url, reason, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreError, match=rf"^store '{url}' {reason}$"):
        Store(url)


def test_lists_of_many_pages_are_read_to_their_end(store, trained, monkeypatch):
    monkeypatch.setattr("tests.support.s3.PAGE", 3)
    for _ in range(2):
        store.publish(*trained)
    other = store.within("other")
    other.publish(*trained)
    assert (store.versions("tiny"), store.models(), other.models()) == ([1, 2], ["tiny"], ["tiny"])
    assert store.size_bytes("tiny", 1) == store.size_bytes("tiny", 2) > 1000


@pytest.mark.parametrize(
    "endpoint",
    ["minio:9000", "127.0.0.1:9000", "minio", "http://", "https://:80", "ftp://minio", "http://a b", "http://a:99999"],
)
def test_an_endpoint_that_is_no_url_is_refused_by_its_variable(endpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StoreError) as refused:
        Store("s3://digits/store", cache=tmp_path).models()
    assert str(refused.value) == f"AWS_ENDPOINT_URL is {endpoint!r}, want http://HOST or https://HOST"
    Store("gs://digits/store", cache=tmp_path)  # the variable is not for it


@pytest.mark.parametrize("rest", ["digits/run#1", "digits/p?region=eu", "digits?x", "anna:secret@digits/p"])
def test_parts_of_a_url_that_obstore_would_leave_out_are_refused_and_no_password_is_shown(rest):
    with pytest.raises(StoreError) as refused:
        Store(f"s3://{rest}")
    assert str(refused.value) == "store 's3://…' has a user, ? or #, want s3://BUCKET/PREFIX"
