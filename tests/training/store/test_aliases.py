"""Aliases of the store: champion, previous and challenger, and the record of their changes."""

import datetime
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from training.filesystem import locked
from training.store import Store, StoreError
from training.store.aliases import Aliases, AliasMoved
from training.store.local_storage import LocalStorage


@pytest.fixture
def store(trained, tmp_path) -> Store:
    """Three versions of the model `tiny`, the first of them the champion."""
    store = Store(tmp_path)
    for _ in range(3):
        store.publish(*trained)
    return store


def recorded(store) -> list[tuple]:
    return [(change.alias, change.before, change.after, change.why) for change in store.changes("tiny")]


def test_promote_moves_the_champion_and_remembers_the_previous_one(store):
    assert store.promote("tiny", 3) == 3
    assert store.aliases("tiny") == {"champion": 3, "previous": 1}
    assert store.promote("tiny", "champion") == 3
    assert store.aliases("tiny") == {"champion": 3, "previous": 1}, "promoting the champion changes nothing"


def test_of_two_who_roll_back_the_second_one_is_told_and_does_not_undo_it(store, monkeypatch):
    monkeypatch.setenv("DIGITS_OPERATOR", "anna")
    store.promote("tiny", 3)
    assert store.rollback("tiny") == 1
    assert store.aliases("tiny") == {"champion": 1}
    with pytest.raises(StoreError, match=r"no previous champion .*: version 1 is the champion since 20.* UTC, by anna"):
        store.rollback("tiny")
    assert store.aliases("tiny") == {"champion": 1}


def test_a_promotion_instead_of_a_version_that_is_champion_no_more_is_refused(store):
    store.promote("tiny", 2, instead_of=1)
    with pytest.raises(AliasMoved, match="the champion of tiny is version 2 by now, want 1"):
        store.promote("tiny", 3, instead_of=1)
    assert store.aliases("tiny") == {"champion": 2, "previous": 1}


def test_a_challenger_that_is_promoted_challenges_nobody_any_more(store):
    assert store.challenge("tiny", 2) == 2
    assert store.aliases("tiny") == {"champion": 1, "challenger": 2}
    store.promote("tiny", "challenger")
    assert store.aliases("tiny") == {"champion": 2, "previous": 1}


def test_every_change_is_recorded_with_who_when_from_to_and_why(store, monkeypatch):
    monkeypatch.setenv("DIGITS_OPERATOR", "anna")
    began = datetime.datetime.now(datetime.UTC)
    store.promote("tiny", 3, why="better on sevens")
    store.rollback("tiny", why="worse on ones")
    store.challenge("tiny", 2, why="retrained")
    Aliases(LocalStorage(store.path), "tiny").change("challenger", "kept", lambda aliases: aliases.pop("challenger"))
    assert recorded(store) == [
        ("champion", None, 1, "the first version"),
        ("champion", 1, 3, "better on sevens"),
        ("champion", 3, 1, "worse on ones"),
        ("challenger", None, 2, "retrained"),
        ("challenger", 2, None, "kept"),
    ]
    last = store.changes("tiny")[-1]
    assert last.by == "anna"
    assert began <= last.when <= datetime.datetime.now(datetime.UTC)


def test_what_changes_nothing_is_not_recorded(store):
    store.promote("tiny", 1)
    with pytest.raises(StoreError):
        store.promote("tiny", 9)
    assert len(recorded(store)) == 1


def test_a_change_that_cannot_be_recorded_does_not_happen(store, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.store.local_storage.replace_file", full)
    with pytest.raises(OSError, match="No space left"):
        store.promote("tiny", 2)
    assert store.aliases("tiny") == {"champion": 1}


def test_a_damaged_record_is_refused_by_name(store):
    (store.path / "tiny" / "changes.jsonl").write_text("{")
    with pytest.raises(StoreError, match=r"changes\.jsonl is damaged"):
        store.changes("tiny")


def test_a_user_without_a_name_is_a_number(store, monkeypatch):
    monkeypatch.delenv("DIGITS_OPERATOR", raising=False)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 41234)
    store.promote("tiny", 2)
    assert store.changes("tiny")[-1].by.startswith("41234@")


def promote_many(path: Path, start, version: int) -> None:
    start.wait()
    for _ in range(50):
        Store(path).promote("tiny", version)
        Store(path).aliases("tiny")
    os._exit(0)


def test_two_operators_at_once_never_leave_half_a_change(store):
    processes = multiprocessing.get_context("spawn")
    store.promote("tiny", 2)
    start = processes.Barrier(2)
    operators = [processes.Process(target=promote_many, args=(Path(store.path), start, version)) for version in (2, 3)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join(timeout=60)
    assert [operator.exitcode for operator in operators] == [0, 0]
    assert len(store.changes("tiny")) > 2
    for before, after in pairwise(store.changes("tiny")):
        assert before.after == after.before, "each change starts from the one before"
    assert store.aliases("tiny") in ({"champion": 2, "previous": 3}, {"champion": 3, "previous": 2})


@pytest.mark.parametrize("change", ["promote", "rollback", "publish"])
def test_whoever_changes_aliases_waits_for_the_one_who_is_changing_them(store, trained, change):
    store.promote("tiny", 2)
    actions = {
        "promote": lambda: store.promote("tiny", 1),
        "rollback": lambda: store.rollback("tiny"),
        "publish": lambda: store.publish(*trained),
    }
    with ThreadPoolExecutor() as threads:
        with locked(store.path / "tiny"):
            before = store.aliases("tiny")
            done = threads.submit(actions[change])
            with pytest.raises(TimeoutError):
                done.result(timeout=0.5)
            assert store.aliases("tiny") == before
        done.result(timeout=20)
