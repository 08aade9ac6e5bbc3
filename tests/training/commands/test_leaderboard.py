"""`python -m training leaderboard`: rows, means over seeds, and fitting of missing versions."""

import json
import os
import re
import shutil
import signal
from functools import partial
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.support import commands
from tests.support.small import QUICK, TINY, nobody_watching
from training import mnist
from training.__main__ import app
from training.commands import leaderboard
from training.evaluation.scores import predict, score, wilson
from training.fitting.job import run as train
from training.network.layers import Dense, Flatten
from training.network.models import MODELS
from training.predictor import Predictor
from training.recipe import RECIPES, Recipe
from training.report import board
from training.report.champions import champions
from training.report.setup import Setup
from training.report.standing import standing
from training.report.wording import interval, percent
from training.store import Store
from training.store.card import Metrics
from training.store.manifest import CorruptVersion

SPACE = "\N{NARROW NO-BREAK SPACE}"
ONE_EPOCH = Recipe(epochs=1, validation_images=500)
SMALLER = (Flatten(), Dense(10))


run = partial(commands.run, "leaderboard", COLUMNS="80")


def with_seed(seed, recipe=ONE_EPOCH) -> Recipe:
    return msgspec.structs.replace(recipe, seed=seed)


@pytest.fixture(scope="module")
def own(tmp_path_factory, few_digits) -> SimpleNamespace:
    """A store with versions of `net` that differ from its champion 1 by the seed alone (2, 6, 7), or by more."""
    folder = tmp_path_factory.mktemp("own")
    digits, tested = few_digits.take(np.arange(1500)), few_digits.take(np.arange(2000, 3000))
    np.savez(folder / "tested.npz", images=tested.images, labels=tested.labels)
    store = Store(folder / "store")

    def fit(layers, seed) -> None:
        train(*(store, "net", layers, with_seed(seed), digits), source="a test", resume=False, watching=nobody_watching)

    def publish_first_again(**changes) -> None:
        card, params = store.load("net", 1)
        store.publish(msgspec.structs.replace(card, **changes), params)

    fit(TINY, seed=0)
    publish_first_again(recipe=with_seed(2))
    publish_first_again(recipe=with_seed(3, QUICK))
    fit(SMALLER, seed=4)
    publish_first_again(recipe=with_seed(5), data=msgspec.structs.replace(store.card("net", 1).data, sha256="0"))
    fit(TINY, seed=2)
    fit(TINY, seed=1)
    return SimpleNamespace(path=folder / "store", store=store, tested=tested, data=folder / "tested.npz")


def evaluated(own, version) -> Metrics:
    predictor = Predictor.load(own.store, "net", version, row_sizes=(500,))
    return score(predict(predictor, own.tested), own.tested.labels)


def test_the_leaderboard_of_one_version_has_the_numbers_of_evaluate_and_of_the_card(trained_store):
    code, out, _ = run("--store", trained_store.path, "--json")
    arguments = ("evaluate", "tiny", "--store", trained_store.path, "--json")
    metrics = json.loads(CliRunner().invoke(app, [str(argument) for argument in arguments]).stdout)
    card = trained_store.card("tiny", 1)
    assert code == 0
    del metrics["version"]
    assert json.loads(out) == [
        metrics
        | {"versions": [1], "seeds": [0], "errors": [metrics["errors"]]}
        | {"weights": 12730, "training_seconds": card.training_seconds, "device": card.device}
    ]


def test_versions_that_differ_from_the_champion_by_the_seed_alone_are_one_row_of_means(own):
    """Not those with another recipe (3), other layers (4) or other data (5); of equal seeds (2, 6) the newest."""
    (row,) = json.loads(run("--store", own.path, "--data", own.data, "--json")[1])
    assert (row["versions"], row["seeds"]) == ([1, 7, 6], [0, 1, 2])
    each = [evaluated(own, version) for version in (1, 7, 6)]
    errors = [of.errors for of in each]
    assert len(set(errors)) > 1, "the seeds must differ, or any mean would do"
    assert (row["errors"], row["images"]) == (errors, 1000)
    assert row["error"] == pytest.approx(sum(errors) / 3000, abs=1e-12)
    assert row["log_loss"] == pytest.approx(np.mean([of.log_loss for of in each]))
    seconds = [own.store.card("net", version).training_seconds for version in (1, 7, 6)]
    assert row["training_seconds"] == pytest.approx(np.mean(seconds))


def test_the_row_follows_the_champion(own, tmp_path):
    shutil.copytree(own.path, tmp_path / "store")
    Store(tmp_path / "store").promote("net", 4)
    (row,) = json.loads(run("--store", tmp_path / "store", "--data", own.data, "--json")[1])
    assert (row["versions"], row["seeds"], row["weights"]) == ([4], [4], 7850)


def test_of_equal_seeds_the_champion_counts_though_another_is_newer(own, tmp_path):
    """It once showed a version that nobody had promoted."""
    shutil.copytree(own.path, tmp_path / "store")
    Store(tmp_path / "store").promote("net", 2)
    (row,) = json.loads(run("--store", tmp_path / "store", "--data", own.data, "--json")[1])
    assert (row["versions"], row["seeds"]) == ([1, 7, 2], [0, 1, 2])


def test_a_version_with_a_damaged_card_is_of_no_setup_but_damaged_weights_are_refused(own, tmp_path):
    shutil.copytree(own.path, tmp_path / "store")
    store = Store(tmp_path / "store")
    (tmp_path / "store/net/6/card.json").write_text("{}")
    assert Setup.of(store.card("net", 1)).versions(store) == {0: 1, 1: 7, 2: 2}
    weights = next(path for path in (tmp_path / "store/net/7/params").rglob("d/*") if path.is_file())
    weights.write_bytes(weights.read_bytes() + b"!")
    with pytest.raises(CorruptVersion, match="net/7/params"):
        board.networks(store, own.tested)


def test_a_setup_that_the_store_has_not_has_no_versions(own):
    setup = Setup.of(own.store.card("net", 1))
    assert setup._replace(model="other").versions(own.store) == {}
    assert setup._replace(data="1").versions(own.store) == {}


def test_a_champion_that_was_tested_is_not_tested_again(own):
    watched = []
    found = champions(own.store, own.tested)
    rows = board.networks(own.store, own.tested, tested=found, watch=watched.append)
    assert watched == ["net version 7", "net version 6"]
    assert rows == board.networks(own.store, own.tested)


def rows_of(*errors, images=10_000):
    """Cards of seeds 0, 1, … with their errors."""
    card = SimpleNamespace(model="net", weights=5, training_seconds=1.0, device="1 x cpu")
    return [
        (
            seed + 1,
            SimpleNamespace(**vars(card), recipe=with_seed(seed)),
            Metrics(images=images, errors=n, error=n / images, interval=(0, 1), log_loss=0.1),
        )
        for seed, n in enumerate(errors)
    ]


def test_more_seeds_do_not_narrow_the_interval_for_they_all_answer_the_same_images():
    one, three = standing(rows_of(50)), standing(rows_of(45, 50, 55))
    assert one.interval == three.interval == wilson(50, 10_000)
    assert three.span == (0.0045, 0.0055)


def test_a_mean_that_is_no_whole_number_of_images_is_not_rounded():
    row = standing(rows_of(45, 45, 46))
    assert row.error == pytest.approx(136 / 30_000, abs=1e-15)
    assert row.interval == wilson(136 / 3, 10_000)


def test_devices_that_differ_are_all_named():
    first, second = rows_of(1, 2)
    second[1].device = "4 x TPU v5"
    assert standing([first, second]).device == "1 x cpu, 4 x TPU v5"


def test_the_leaderboard_is_a_table_for_people_and_nothing_is_cut_off_at_80_columns(own):
    code, out, _ = run("--store", own.path, "--data", own.data)
    heading, row = out.replace(SPACE, " ").splitlines()
    (found,) = board.networks(own.store, own.tested)
    assert code == 0
    assert re.split(r"  +", heading.strip()) == list(leaderboard.HEADINGS)
    assert re.split(r"  +", row.strip()) == [
        *("net", "1 7 6", percent(found.error).replace(SPACE, " "), interval(found.span).replace(SPACE, " ")),
        *(interval(found.interval).replace(SPACE, " "), "12,730", row.split("12,730")[1].split("  0 1 2")[0].strip()),
        *("0 1 2", own.store.card("net", 1).device),
    ]


def test_one_seed_has_no_lowest_and_highest(trained_store, own):
    row = run("--store", trained_store.path, "--data", own.data)[1].splitlines()[1]
    assert len(re.split(r"  +", row.strip())) == len(leaderboard.HEADINGS) - 1


def test_the_lowest_error_leads_and_the_log_loss_decides_between_equals():
    row = standing(rows_of(1))
    named = [
        msgspec.structs.replace(row, model=name, error=error, log_loss=loss)
        for name, error, loss in (("c", 0.02, 0.1), ("b", 0.01, 0.3), ("a", 0.01, 0.2))
    ]
    assert [row.model for row in board.ranked(named)] == ["a", "b", "c"]


@pytest.fixture
def product(monkeypatch, few_digits):
    """Two networks that digits knows by name, 1,500 digits for MNIST, and a list of what is trained: (model, seed)."""
    read, tested = few_digits.take(np.arange(1500)), few_digits.take(np.arange(2000, 3000))
    monkeypatch.setattr(mnist, "train", lambda: read)
    monkeypatch.setattr(mnist, "test", lambda: tested)
    for known in (MODELS, RECIPES):
        for name in tuple(known):
            monkeypatch.delitem(known, name)
    monkeypatch.setitem(MODELS, "net", TINY)
    monkeypatch.setitem(MODELS, "net_small", SMALLER)
    monkeypatch.setitem(RECIPES, "net", ONE_EPOCH)
    monkeypatch.setitem(RECIPES, "net_small", with_seed(0, ONE_EPOCH.changed(batch_size=100)))
    trained, really = [], leaderboard.train

    def recorded(store, model, layers, recipe, digits, **options):
        assert (options["source"], options["resume"]) == ("mnist", True)
        trained.append((model, recipe.seed))
        return really(store, model, layers, recipe, digits, **options)

    monkeypatch.setattr(leaderboard, "train", recorded)
    return SimpleNamespace(read=read, trained=trained)


def test_fit_fits_what_is_missing_and_shows_three_seeds_of_each_network_s_own_recipe(own, product, tmp_path):
    """`net` has its seeds 0, 2 and 1 in the versions 1, 6 and 7 already; here 5 becomes its champion, and 7 is lost.

    With seed 9 (version 8) its own recipe has one seed more than the table.
    """
    shutil.copytree(own.path, tmp_path / "store")
    shutil.rmtree(tmp_path / "store/net/7")
    store = Store(tmp_path / "store")
    store.promote("net", 5)
    train(store, "net", TINY, with_seed(9), product.read, source="mnist", resume=False, watching=nobody_watching)
    train(store, "mine", SMALLER, QUICK, product.read, source="own", resume=False, watching=nobody_watching)

    code, out, err = run("--store", store.path, "--fit", "--json")
    rows = {row["model"]: (row["versions"], row["seeds"]) for row in json.loads(out)}
    assert code == 0
    assert product.trained == [("net", 1), ("net_small", 0), ("net_small", 1), ("net_small", 2)]
    last = store.versions("net")[-1]
    assert rows == {
        "net": ([1, last, 6], [0, 1, 2]),
        "net_small": ([1, 2, 3], [0, 1, 2]),
        "mine": ([1], [0]),
    }
    assert store.aliases("net") == {"champion": 5, "previous": 1}
    assert store.aliases("net_small") == {"champion": 1}
    assert store.card("net_small", 3).recipe == with_seed(2, RECIPES["net_small"])
    assert "fitting net with seed 1, 1 of 4" in err
    assert "fitting net_small with seed 2, 4 of 4" in err

    again = run("--store", store.path, "--fit", "--json")
    assert (again[0], json.loads(again[1])) == (0, json.loads(out))
    assert len(product.trained) == 4
    of_champions = json.loads(run("--store", store.path, "--json")[1])
    assert {row["model"]: row["versions"] for row in of_champions}["net"] == [5]


def test_fit_fills_an_empty_store_and_prints_nothing_but_the_table_on_stdout(product, monkeypatch, tmp_path):
    monkeypatch.delitem(MODELS, "net")
    code, out, err = run("--store", tmp_path / "store", "--fit")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["model", "net_small"]
    assert err.count("validation error") == 3


def test_digits_that_cannot_be_read_are_refused_before_anything_is_fitted(product, tmp_path):
    code, out, err = run("--store", tmp_path / "store", "--fit", "--data", tmp_path / "none.npz")
    assert (code, out, product.trained) == (1, "", [])
    assert "none.npz" in err


def test_a_user_who_stops_the_fitting_gets_no_table(product, monkeypatch, tmp_path):
    def stop(*arguments, **options):
        raise typer.Exit(130)

    monkeypatch.setattr(leaderboard, "train", stop)
    assert run("--store", tmp_path / "store", "--fit")[:2] == (130, "")


def test_what_is_fitted_goes_on_from_an_interrupted_run(product, monkeypatch, tmp_path):
    """A signal in the second epoch of the first network: the command ends, and the next time one epoch is left."""
    monkeypatch.setitem(RECIPES, "net", QUICK)
    monkeypatch.delitem(MODELS, "net_small")
    really = leaderboard.train

    def interrupted(*arguments, check, **options):
        calls = []

        def check_and_stop():
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            check()

        return really(*arguments, check=check_and_stop, **options)

    monkeypatch.setattr(leaderboard, "train", interrupted)
    code, out, err = run("--store", tmp_path / "store", "--fit")
    assert (code, out) == (143, "")
    assert "stopped by SIGTERM; the same command goes on from the last epoch" in err
    monkeypatch.setattr(leaderboard, "train", really)
    code, _, err = run("--store", tmp_path / "store", "--fit")
    assert code == 0
    assert re.findall(r" (\d) +\d\.\d{4} ", err) == ["2", "3", "1", "2", "3", "1", "2", "3"]
