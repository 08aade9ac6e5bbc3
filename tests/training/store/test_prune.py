"""Old versions are removed from a store, on disk and in object storage; those with an alias stay."""

import datetime

import pytest
from typer.testing import CliRunner

from training.__main__ import app
from training.store import Store, UnknownVersion, manifest
from training.store.aliases import Aliases
from training.store.manifest import StoreError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(params=["disk", "s3"])
def store(request, tmp_path) -> Store:
    """A store with versions 1 to 6 of `tiny`, of which 2 is the champion and 1 the previous one."""
    if request.param == "disk":
        found = Store(tmp_path / "store")
    else:
        found = Store(request.getfixturevalue("s3_url"), cache=tmp_path / "cache")
    for version in range(1, 7):
        add(found, version)
    found.promote("tiny", 1)
    found.promote("tiny", 2)
    return found


def add(store: Store, version: int) -> None:
    """Adds a version that nobody loads."""
    with store._storage.staging("tiny") as staged:
        (staged / "card.json").write_text("{}")
        manifest.write(staged)
        assert store._storage.add_version("tiny", version, staged)


def test_versions_without_an_alias_are_removed_but_for_the_newest(store):
    assert store.prune("tiny", 2, dry_run=True) == [3, 4]
    assert store.versions("tiny") == [1, 2, 3, 4, 5, 6]
    assert store.prune("tiny", 2) == [3, 4]
    assert store.versions("tiny") == [1, 2, 5, 6]
    assert store.prune("tiny", 1) == [5]
    assert store._storage.taken("tiny")[-1] == 6
    with pytest.raises(UnknownVersion):
        store.resolve("tiny", 5)
    assert store.prune("tiny", 1) == []


def test_nothing_of_a_removed_version_is_left(store):
    store.prune("tiny", 1)
    assert sorted(name for name in store._storage.folders("tiny") if name.isdigit()) == ["1", "2", "6"]
    assert not [name for name in store._storage.folders("tiny") if name.startswith(".new-")]
    assert store._storage.files("tiny/3") == {}


def test_a_version_that_gets_an_alias_meanwhile_stays(store, monkeypatch):
    """In object storage, where nothing is locked, between the look at the aliases and the removal."""
    real = Aliases.touch

    def promoted_before(self):
        if not self._storage.locks:
            monkeypatch.setattr(Aliases, "touch", real)
            read = self._storage.read(self._aliases)
            aliases = {**self.read(), "challenger": 3}
            assert self._storage.replace(self._aliases, self._encoded(aliases, NOW), read.tag)
        return real(self)

    if store._storage.locks:
        store.challenge("tiny", 3)
    monkeypatch.setattr(Aliases, "touch", promoted_before)
    assert store.prune("tiny", 1) == [4, 5]
    assert store.versions("tiny") == [1, 2, 3, 6]


def test_a_version_that_is_removed_meanwhile_gets_no_alias(store):
    assert store.resolve("tiny", 3) == 3  # in object storage, it counts as seen for minutes now
    other = Store(store.location, cache=store.path.parent / "other")
    other.prune("tiny", 1)
    with pytest.raises(UnknownVersion):
        store.promote("tiny", 3)
    assert store.aliases("tiny") == {"champion": 2, "previous": 1}


def test_the_newest_version_always_stays(store):
    with pytest.raises(StoreError, match="0 versions would be kept, want at least 1"):
        store.prune("tiny", 0)


def test_the_command_names_what_it_removes(tmp_path):
    store = Store(tmp_path)
    for version in range(1, 4):
        add(store, version)
    store.promote("tiny", 1)
    for options, said in (
        (["--dry-run"], "tiny: 2 would be removed"),
        ([], "tiny: 2 removed"),
        ([], "tiny: no version removed"),
    ):
        done = CliRunner().invoke(app, ["prune", "tiny", "--store", str(tmp_path), "--keep", "1", *options])
        assert (done.exit_code, done.stdout) == (0, said + "\n")
