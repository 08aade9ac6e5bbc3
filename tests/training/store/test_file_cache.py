"""The cache of verified files of object storage: damage, its limit, several processes, and folders of dead ones."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.s3 import S3Server
from training.settings import StoreSettings
from training.store import Store
from training.store.file_cache import FileCache, hash_file
from training.store.manifest import StoreError, sha256
from training.store.storage import CACHE_LIMIT_BYTES, default_cache


@pytest.fixture
def cache(tmp_path) -> FileCache:
    return FileCache(tmp_path / "cache", 100)


def added(cache: FileCache, content: bytes) -> str:
    """The SHA-256 of a file that is added to the cache."""
    with cache.new_folder() as folder:
        (folder / "file").write_bytes(content)
        cache.add(sha256(content), folder / "file")
    return sha256(content)


def found(cache: FileCache, name: str) -> bytes | None:
    """The content of a file of the cache."""
    with cache.new_folder() as folder:
        return (folder / "found").read_bytes() if cache.get(name, folder / "found") else None


def test_a_file_is_found_by_its_hash(cache):
    name = added(cache, b"seven")
    assert (found(cache, name), found(cache, sha256(b"eight"))) == (b"seven", None)
    assert sorted(path.name for path in cache.folder.iterdir()) == ["files"], "folders to write in are gone"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_what_is_no_hash_is_not_looked_for(cache, name):
    assert found(cache, name) is None


def test_a_damaged_file_is_removed_and_not_found(cache):
    name = added(cache, b"seven")
    (path,) = cache.folder.glob("files/*/*")
    path.write_bytes(b"eight")
    assert found(cache, name) is None
    assert not path.exists()


def test_the_files_that_were_used_least_recently_are_removed_above_the_limit(cache):
    names = [added(cache, bytes([number]) * 40) for number in range(3)]
    for age_s, path in zip((30, 20, 10), (cache._path(name) for name in names), strict=True):
        os.utime(path, (time.time() - age_s,) * 2)
    assert found(cache, names[0]), "which makes it the youngest"
    cache.shrink()
    assert [bool(found(cache, name)) for name in names] == [True, False, True]


def test_a_file_that_is_being_added_is_not_removed_by_another_process(cache, monkeypatch):
    other = FileCache(cache.folder, 0)
    replace = Path.replace

    def late(path, target):
        other.shrink()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", late)
    assert found(cache, added(cache, b"seven")) == b"seven"


def test_a_file_system_without_links_gets_copies(cache, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refused)
    assert found(cache, added(cache, b"seven")) == b"seven"


def test_a_cache_that_cannot_be_written_says_so_and_names_the_setting(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"the cache \S+/file/cache cannot be written: Not a directory; DIGITS_CACHE"):
        FileCache(tmp_path / "file" / "cache", 100).new_folder().__enter__()


def test_what_a_killed_process_was_writing_is_removed_by_the_next_one(cache):
    added(cache, b"seven")
    dead = cache.folder / ".new-dead"
    (dead / "params").mkdir(parents=True)
    with cache.new_folder() as mine, cache.new_folder() as other:
        assert not dead.exists()
        assert mine.exists()
        assert other.exists()


def test_the_default_folder_is_the_users_cache_directory(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/anna")
    assert str(default_cache()) == "/var/cache/anna/digits"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert str(default_cache()) == "/home/anna/.cache/digits"
    assert StoreSettings.model_fields["cache_limit_bytes"].default == CACHE_LIMIT_BYTES


def test_settings_say_where_the_cache_is(s3_url, monkeypatch, tmp_path):
    monkeypatch.setenv("DIGITS_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("DIGITS_STORE", s3_url)
    assert Store.of(StoreSettings()).path.is_relative_to(tmp_path / "mine" / "stores")


def parts(requests) -> list[str]:
    """The files of versions that were downloaded, without manifests."""
    return [each.path for each in requests if each.method == "GET" and "/params/" in each.path]


def test_a_version_is_downloaded_once_and_a_damaged_file_of_the_cache_again(s3: S3Server, s3_url, trained, tmp_path):
    Store(s3_url, cache=tmp_path / "publisher").publish(*trained)
    store = Store(s3_url, cache=tmp_path / "cache")
    with s3.recorded() as cold:
        store.load("tiny", 1)
    with s3.recorded() as warm:
        Store(s3_url, cache=tmp_path / "cache").load("tiny", 1)
    assert len(parts(cold)) > 5
    assert parts(warm) == []
    largest = max((tmp_path / "cache" / "files").glob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with s3.recorded() as mended:
        loaded = store.load("tiny", 1)
    assert len(parts(mended)) == 1
    assert loaded[0] == trained[0]
    assert hash_file(largest) == largest.name


def test_a_cache_that_is_too_small_for_a_version_serves_it_all_the_same(s3_url, trained, tmp_path):
    store = Store(s3_url, cache=tmp_path / "cache", cache_limit_bytes=1000)
    store.publish(*trained)
    assert store.load("tiny", 1)[0] == trained[0]
    assert sum(path.stat().st_size for path in (tmp_path / "cache" / "files").glob("*/*")) <= 1000


def test_several_readers_share_a_cache(s3_url, trained, tmp_path):
    Store(s3_url, cache=tmp_path / "publisher").publish(*trained)

    def read(number):
        store = Store(s3_url, cache=tmp_path / "cache", cache_limit_bytes=(0, 10**9)[number % 2])
        for _ in range(3):
            store.verify("tiny", 1)
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, range(4)))
    shutil.rmtree(tmp_path / "cache")
    Store(s3_url, cache=tmp_path / "cache").verify("tiny", 1)
