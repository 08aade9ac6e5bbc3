"""Retraining: from corrections to a challenger that the gate promotes or refuses."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import jax
import msgspec
import numpy as np
import pytest

from tests.support.small import nobody_watching, unwatched
from training import mnist
from training.data.digits import Digits
from training.data.split import split
from training.fitting.job import run
from training.network.layers import Dense, Flatten
from training.network.module import Params
from training.recipe import Recipe
from training.retraining.limits import Limits
from training.retraining.retrain import OtherDigits, Report, retrain
from training.store import Store
from training.store.aliases import FIRST, AliasMoved

NET = (Flatten(), Dense(64, activation="relu"), Dense(10))
RECIPE = Recipe(epochs=4, validation_images=1000)
LIMITS = Limits(margin=0.05, unlearned=0.25, sure=0.9, contradicted=0.3)
"""For 1,000 validation images, and a network that is wrong about 15 % of the shifted digits when it knows them."""
PASSED = "passed the gate with 1195 corrections on top of version 1"


@pytest.fixture(scope="module")
def digits() -> Digits:
    return mnist.train().take(np.arange(6000))


@pytest.fixture(scope="module")
def shifted() -> Digits:
    """1,600 other digits, two pixels further to the right, where the champion is wrong about every third."""
    others = mnist.train().take(np.arange(20_000, 21_600))
    return Digits(np.roll(others.images, 2, axis=2), others.labels)


@pytest.fixture(scope="module")
def champion(tmp_path_factory, digits) -> Store:
    """A store with version 1 of `net`. Tests only read it."""
    store = Store(tmp_path_factory.mktemp("champion"))
    run(store, "net", NET, RECIPE, digits, source="a test", resume=False, watching=nobody_watching)
    return store


@pytest.fixture
def store(champion, tmp_path) -> Store:
    """A store of the test's own with version 1 of `net`."""
    shutil.copytree(champion.path, tmp_path / "store")
    return Store(tmp_path / "store")


@contextmanager
def watching(recipe, images):
    yield unwatched


def same_speed(first, second, image) -> tuple[float, float]:
    return 0.001, 0.001


def retrained(store, digits, corrections, labels=None, **options) -> Report:
    given = {"limits": LIMITS, "source": "a test", "watching": watching, "timed": same_speed} | options
    return retrain(store, "net", digits, corrections.images, corrections.labels if labels is None else labels, **given)


@pytest.fixture(scope="module")
def learned(champion, tmp_path_factory, digits, shifted) -> tuple[Store, Report]:
    """A store whose version 1 has been retrained with all of `shifted`, and the report. Tests only read it."""
    store = Store(shutil.copytree(champion.path, tmp_path_factory.mktemp("learned") / "store"))
    return store, retrained(store, digits, shifted)


@pytest.fixture
def after(learned, tmp_path) -> Store:
    """A store of the test's own, as that of `learned`."""
    return Store(shutil.copytree(learned[0].path, tmp_path / "after"))


def refused(report) -> list[str]:
    return [criterion.name for criterion in report.decision.criteria if not criterion.passed]


def files(store) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(store.path).rglob("*") if path.is_file()}


def same(first: Params, second: Params) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_honest_digits_of_a_new_kind_are_learned_and_promoted(learned):
    store, report = learned
    assert refused(report) == []
    assert store.aliases("net") == {"champion": 2, "previous": 1}
    assert [(change.after, change.why) for change in store.changes("net")] == [(1, FIRST), (2, PASSED)]
    assert (report.champion, report.challenger) == (1, 2)
    assert (report.corrections.training, report.corrections.held_out) == (1195, 405)


def test_the_card_says_what_was_learned_on_top_of_what(learned, digits):
    store, report = learned
    before, card = store.card("net", 1), store.card("net", 2)
    assert card.retrained.champion == 1
    assert card.retrained.digits_sha256 == card.digits_sha256 == before.digits_sha256 == digits.sha256
    assert (card.retrained.corrections, card.retrained.held_out) == (1195, 405)
    assert card.data.sha256 == report.data_sha256 != digits.sha256
    assert (card.data.source, card.data.training_images, card.data.validation_images) == (
        "a test and corrections",
        5000 + 1195,
        1000,
    )
    assert (card.recipe.epochs, card.recipe.learning_rate, card.recipe.seed) == (3, 5e-4, 0)


def test_a_promoted_version_can_be_retrained_again_in_the_same_way(after, digits, shifted):
    report = retrained(after, digits, shifted)
    assert (report.champion, report.challenger) == (2, 3)
    assert after.card("net", 3).recipe == after.card("net", 2).recipe
    assert after.card("net", 3).retrained.digits_sha256 == digits.sha256


def test_wrong_digits_at_random_are_kept_out(store, digits, shifted):
    rng = np.random.default_rng(0)
    poisoned = shifted.labels.copy()
    wrong = rng.choice(len(poisoned), len(poisoned) // 5, replace=False)
    poisoned[wrong] = (poisoned[wrong] + rng.integers(1, 10, len(wrong))) % 10
    report = retrained(store, digits, shifted, poisoned)
    assert "corrections follow a rule" in refused(report)
    assert store.aliases("net") == {"champion": 1}
    assert store.versions("net") == [1, 2], "what was kept out can be looked at"


def test_wrong_digits_by_a_rule_are_kept_out(store, digits, shifted):
    report = retrained(store, digits, shifted, np.where(shifted.labels == 4, 9, shifted.labels).astype(np.uint8))
    assert refused(report) == ["no digit called another"]
    assert store.aliases("net") == {"champion": 1}


def test_without_corrections_nothing_is_trained(store, digits, shifted):
    before = files(store)
    none = np.empty((0, 28, 28), np.uint8), np.empty(0, np.uint8)
    report = retrain(store, "net", digits, *none, limits=LIMITS, source="a test", watching=None, timed=same_speed)
    assert (refused(report), report.challenger) == (["enough corrections"], None)
    assert report.decision.criteria[0].words == "0 held-out corrections, want at least 50"
    assert files(store) == before


def test_the_same_corrections_in_any_order_give_the_same_weights_and_the_same_decision(learned, after, digits, shifted):
    order = np.random.default_rng(2).permutation(len(shifted))
    _, first = learned
    after.rollback("net")
    again = retrained(after, digits, shifted.take(order))
    assert (first.challenger, again.challenger) == (2, 3)
    assert msgspec.structs.replace(again, challenger=2) == first
    assert same(after.load("net", 2)[1], after.load("net", 3)[1])


def test_a_dry_run_decides_the_same_and_leaves_the_store_as_it_was(store, learned, digits, shifted):
    before = files(store)
    dry = retrained(store, digits, shifted, dry_run=True)
    assert files(store) == before
    assert dry.challenger is None
    assert msgspec.structs.replace(dry, challenger=2) == learned[1]


def test_what_passes_becomes_the_challenger_if_it_is_not_to_be_promoted(store, digits, shifted):
    report = retrained(store, digits, shifted, promote=False)
    assert report.decision.passed
    assert store.aliases("net") == {"champion": 1, "challenger": 2}
    assert store.changes("net")[-1].why == PASSED


def test_the_decision_is_written_beside_the_versions_or_where_one_wants_it(learned, after, digits, shifted, tmp_path):
    path = after.path / "net" / "decisions" / "2.json"
    assert msgspec.json.decode(path.read_bytes(), type=Report) == learned[1]
    after.verify("net", 2)
    after.rollback("net")
    elsewhere = tmp_path / "new" / "decision.json"
    dry = retrained(after, digits, shifted, dry_run=True, decision_file=elsewhere)
    assert msgspec.json.decode(elsewhere.read_bytes(), type=Report) == dry


def test_a_champion_that_changes_meanwhile_is_not_replaced(store, digits, shifted):
    """Somebody promotes another version by hand while the challenger is trained."""

    @contextmanager
    def somebody_promotes(recipe, images):
        yield unwatched
        store.publish(*store.load("net", 1))
        store.promote("net", 2)

    with pytest.raises(AliasMoved, match="the champion of net is version 2 by now, want 1"):
        retrained(store, digits, shifted, watching=somebody_promotes)
    assert store.aliases("net") == {"champion": 2, "previous": 1}


def test_what_judges_is_never_learned(store, digits, shifted, monkeypatch):
    """Neither validation images, sent as corrections, nor held-out corrections are among what the network learns."""
    from training.retraining import retrain as module

    learned = []

    def overheard(layers, recipe, training, *rest):
        learned.append({image.tobytes() for image in training.images})
        return real(layers, recipe, training, *rest)

    real = module.fit
    monkeypatch.setattr(module, "fit", overheard)
    _, validation = split(digits, 1000)
    both = Digits(
        np.concatenate([validation.images, shifted.images, shifted.images]),
        np.concatenate([(validation.labels + 1) % 10, shifted.labels, shifted.labels]),
    )
    report = retrained(store, digits, both, dry_run=True)
    judges = {image.tobytes() for image in module.select(both.images, both.labels, digits).held_out_digits.images}
    assert (report.corrections.known, report.corrections.repeated) == (1000, 1600)
    assert len(judges) == 405
    assert not learned[0] & judges
    assert not learned[0] & {image.tobytes() for image in validation.images}


def test_a_champion_of_other_digits_is_not_retrained(store, digits, shifted):
    with pytest.raises(OtherDigits, match=r"version 1 of net was trained on a test \(SHA-256 [0-9a-f]{12}…\), want"):
        retrained(store, shifted, shifted)
