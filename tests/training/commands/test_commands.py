"""The commands fit, evaluate, models, promote, rollback and changes: output, exit codes and error lines."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.support.commands import run
from training.data.digits import Digits
from training.recipe import QUICK, Distortion, Recipe
from training.store import Store

LAYERS = 'layers = [{kind = "flatten"}, {kind = "dense", features = 10}]'


@pytest.fixture(scope="module")
def own(tmp_path_factory, few_digits):
    """A folder with somebody's digits, a network, and a store with two versions of it."""
    folder = tmp_path_factory.mktemp("own")
    np.savez(folder / "own.npz", images=few_digits.images, labels=few_digits.labels)
    (folder / "net.toml").write_text(LAYERS)
    for _ in range(2):
        assert fit(folder, "--seed", 3)[0] == 0
    return folder


def fit(folder, *options, model="mine") -> tuple[int, str, str]:
    return run(
        *("fit", model, "--layers", folder / "net.toml", "--data", folder / "own.npz", "--store", folder / "store"),
        *("--epochs", 1, "--validation-images", 500, *options),
    )


def test_fit_prints_a_row_for_each_epoch_and_what_it_published(own):
    code, out, _ = fit(own, "--epochs", 2)
    assert code == 0
    rows = re.findall(r"^ +(\d)  +\d\.\d{4}  +\d+\.\d\d%  +[\d,]+  +\d+\.\d$", out, re.MULTILINE)
    assert rows == ["1", "2"]
    assert re.search(
        r"published mine version 3 in \S+/mine/3: validation error \d+\.\d\d% \(95 %: .*\), 7,850 weights", out
    )
    assert "to serve it: python -m training promote mine 3" in out


def test_the_card_says_what_the_command_was_told(own):
    card = Store(own / "store").card("mine", 1)
    assert (card.recipe.seed, card.recipe.epochs, card.recipe.validation_images) == (3, 1, 500)
    assert card.data.source == str(own / "own.npz")
    assert (card.data.training_images, card.data.validation_images) == (3500, 500)
    assert card.validation.images == 500
    reference = card.trust.reference
    assert sum(reference.digit.counts) == sum(reference.ink.counts) == sum(reference.confidence.counts) == 500


def test_fit_if_missing_does_nothing_when_there_is_a_champion(own):
    before = Store(own / "store").versions("mine")
    assert run("fit", "mine", "--if-missing", "--store", own / "store") == (0, "", "")
    assert Store(own / "store").versions("mine") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["lent"],
            "no network is named 'lent': want one of mlp, mlp_deep, lenet, or --layers with a file; did you mean lenet",
        ),
        (
            ["Mlp", "--layers", "net.toml"],
            "'Mlp' is no model name: want lower-case letters, digits, - and _, at most 64",
        ),
        (["lenet", "--layers", "no.toml"], "no.toml does not exist"),
        (["lenet", "--data", "no.csv"], "no.csv"),
        (
            ["mlp", "--validation-images", "60000"],
            "there are 60000 digits, and 60000 of them would be held out for validation, want 1 to 59999 "
            "(--validation-images)",
        ),
        (
            ["mlp", "--batch-size", "59000"],
            "a batch of 59000 is larger than the 55000 training images, want at most 55000 (--batch-size)",
        ),
        (
            ["mlp", "--scale-learning-rate"],
            "--scale-learning-rate: want --batch-size, which the learning rate follows",
        ),
        (
            ["mlp", "--learning-rate", "-1"],
            "the recipe cannot be followed: learning_rate is -1.0, want a number > 0",
        ),
    ],
)
def test_fit_refuses_in_one_line_and_exit_code_1(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(LAYERS)
    code, _, err = run("fit", *options, "--store", tmp_path)
    assert code == 1
    assert message in err
    assert Store(tmp_path).models() == []


def test_a_recipe_comes_from_the_name_from_quick_from_a_file_and_from_options_in_this_order(own):
    (own / "mine.toml").write_text("epochs = 2\nlearning_rate = 0.01\n[distortion]\nelastic_px = 0.7\n")
    assert fit(own, "--recipe", own / "mine.toml", "--learning-rate", 0.02, "--seed", 5)[0] == 0
    store = Store(own / "store")
    recipe = store.card("mine", store.versions("mine")[-1]).recipe
    assert (recipe.epochs, recipe.learning_rate, recipe.seed) == (1, 0.02, 5)
    assert recipe.distortion == Distortion(elastic_px=0.7)
    assert fit(own, "--quick", "--no-distort")[0] == 0
    recipe = store.card("mine", store.versions("mine")[-1]).recipe
    assert (recipe.average, recipe.distortion) == (QUICK.average, Distortion())
    assert fit(own, "--quick", "--batch-size", 256, "--scale-learning-rate", "--average", 0.5)[0] == 0
    recipe = store.card("mine", store.versions("mine")[-1]).recipe
    assert (recipe.batch_size, recipe.learning_rate, recipe.average) == (256, 2 * QUICK.learning_rate, 0.5)


def test_a_tenth_of_few_digits_is_held_out_and_the_card_says_how_many(own, few_digits, tmp_path):
    np.savez(tmp_path / "few.npz", images=few_digits.images[:400], labels=few_digits.labels[:400])
    options = ("--data", tmp_path / "few.npz", "--store", tmp_path / "store", "--epochs", 1)
    code, _, err = run("fit", "mine", "--layers", own / "net.toml", *options)
    assert (code, err) == (0, "")
    card = Store(tmp_path / "store").card("mine", 1)
    assert (card.recipe.validation_images, card.data.training_images, card.data.validation_images) == (40, 360, 40)


def test_classes_that_are_missing_are_named(own, few_digits, tmp_path):
    some = few_digits.take(~np.isin(few_digits.labels, [3, 7]))
    np.savez(tmp_path / "some.npz", images=some.images, labels=some.labels)
    code, _, err = fit(own, "--data", tmp_path / "some.npz")
    assert (code, err) == (
        0,
        f"{tmp_path / 'some.npz'}: holds no digit 3, 7: the network learns none of them, and its errors count none",
    )


def test_one_class_alone_is_refused_and_nothing_is_published(own, few_digits, tmp_path):
    sevens = few_digits.take(few_digits.labels == 7)
    np.savez(tmp_path / "sevens.npz", images=sevens.images, labels=sevens.labels)
    code, _, err = fit(own, "--data", tmp_path / "sevens.npz", "--store", tmp_path / "store")
    assert code == 1
    assert err.endswith(f"error: all {len(sevens)} digits are 7, want at least two classes")
    assert Store(tmp_path / "store").models() == []


def test_own_layers_under_a_built_in_name_do_not_train_its_teachers(own, tmp_path):
    code, out, err = fit(own, "--store", tmp_path, model="lenet")
    assert (code, "teacher" in out) == (0, False), err
    assert Store(tmp_path).card("lenet", 1).recipe == Recipe(epochs=1, validation_images=500)


def test_a_full_disk_is_one_line_and_a_whole_store(own, monkeypatch):
    """Orbax would make hundreds of lines of it."""
    before = Store(own / "store").versions("mine")
    full = shutil.disk_usage("/")._replace(free=40_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    code, _, err = fit(own)
    assert code == 1
    assert re.search(r"^error: .*no room on the disk: want \d\d\d,\d\d\d bytes, 40,000 are free: \S+$", err)
    assert Store(own / "store").versions("mine") == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "epoks = 2",
            "there is no field epoks, want one of epochs, batch_size, optimizer, learning_rate, schedule, "
            "warmup_epochs, weight_decay, average, distortion, validation_images, seed, teacher; did you mean epochs?",
        ),
        ("epochs = 0", "epochs is 0, want a whole number >= 1"),
        ("[distortion]\nsmoothness_px = 1.0", "distortion.smoothness_px is 1.0, want a number >= 3"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_with_the_name_of_the_file(own, content, message):
    (own / "bad.toml").write_text(content)
    code, _, err = fit(own, "--recipe", own / "bad.toml")
    assert (code, err) == (1, f"error: {own / 'bad.toml'}: {message}")


def test_evaluate_scores_10000_of_10000_test_images(trained_store):
    code, out, _ = run("evaluate", "tiny", "--store", trained_store.path, "--json")
    assert code == 0
    answer = json.loads(out)
    assert (answer["model"], answer["version"], answer["images"]) == ("tiny", 1, 10_000)
    assert answer["error"] == answer["errors"] / 10_000
    assert answer["interval"][0] < answer["error"] < answer["interval"][1]


def test_evaluate_counts_the_same_errors_in_words_and_in_the_table(own):
    code, out, _ = run("evaluate", "mine", "--data", own / "own.npz", "--store", own / "store")
    assert code == 0
    errors = int(re.search(r"(\d+) of 4,000 wrong", out)[1])
    counts = np.array(
        [[int(n.replace("·", "0")) for n in line.split()[1:]] for line in out.splitlines() if re.match(r" *\d  ", line)]
    )
    assert counts.shape == (10, 10)
    assert counts.sum() - counts.trace() == errors


def test_evaluate_says_what_can_be_trusted_and_that_500_digits_guarantee_nothing(trained_store):
    code, out, _ = run("evaluate", "tiny", "--store", trained_store.path, "--trust")
    assert code == 0
    assert re.search(r"expected calibration error \d\.\d\d%", out)
    assert "not guaranteed by 500 held-out digits" in out
    assert re.search(r"half a digit +1,000 +0\.\d{4}", out)
    assert re.search(r"load_digits +40 +\d+ +\d+\.\d\d%", out)


def test_evaluate_of_what_is_not_there_says_what_is(trained_store):
    code, _, err = run("evaluate", "tiny", "--version", 7, "--store", trained_store.path)
    assert code == 1
    assert "there is no version '7' of tiny in the store" in err
    assert "it holds 1, champion -> 1" in err


def test_models_lists_versions_with_error_date_size_and_aliases(own):
    code, out, _ = run("models", "--store", own / "store")
    assert code == 0
    assert re.search(r"mine +1 +champion +\d+\.\d\d% \(\d+\.\d\d-\d+\.\d\d\) +7,850 +0\.\d MB +20\d\d-", out)
    (first, second, *_) = json.loads(run("models", "--store", own / "store", "--json")[1])
    assert (first["version"], first["aliases"], second["aliases"]) == (1, ["champion"], [])
    assert first["bytes"] > 7850 * 4


def test_models_shows_a_damaged_version_among_the_good_ones(trained, tmp_path):
    store = Store(tmp_path)
    for _ in range(2):
        store.publish(*trained)
    (tmp_path / "tiny" / "2" / "card.json").write_text("{}")
    code, out, _ = run("models", "--store", tmp_path)
    assert (code, out.count("damaged")) == (0, 1)
    assert "card.json is damaged" in json.loads(run("models", "--store", tmp_path, "--json")[1])[1]["problem"]


def test_models_of_an_empty_store_says_how_to_fill_it(tmp_path):
    code, out, _ = run("models", "--store", tmp_path)
    assert code == 0
    assert "is empty; fill it with python -m training fit lenet --quick" in out


def test_promote_and_rollback_change_the_champion(trained, tmp_path):
    for _ in range(2):
        Store(tmp_path).publish(*trained)
    assert run("promote", "tiny", 2, "--store", tmp_path) == (0, "version 2 is the champion of tiny\n", "")
    assert run("rollback", "tiny", "--store", tmp_path) == (0, "version 1 is the champion of tiny again\n", "")
    assert run("promote", "tiny", 9, "--store", tmp_path)[0] == 1
    code, _, err = run("promote", "tiny", 2, "--instead-of", 3, "--store", tmp_path)
    assert (code, err) == (1, "error: the champion of tiny is version 1 by now, want 3")


def test_changes_lists_who_changed_what_is_live_and_why(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("DIGITS_OPERATOR", "anna")
    for _ in range(2):
        Store(tmp_path).publish(*trained)
    run("promote", "tiny", 2, "--why", "better on sevens", "--store", tmp_path)
    code, out, _ = run("changes", "tiny", "--store", tmp_path)
    assert (code, [line.split()[2:] for line in out.splitlines()[1:]]) == (
        0,
        [
            ["champion", "-", "1", "anna", "the", "first", "version"],
            ["champion", "1", "2", "anna", "better", "on", "sevens"],
        ],
    )
    (_, change) = json.loads(run("changes", "tiny", "--store", tmp_path, "--json")[1])
    assert (change["from"], change["to"], change["by"], change["why"]) == (1, 2, "anna", "better on sevens")


@pytest.mark.parametrize(
    "command",
    [
        *(
            "compare",
            "corrections",
            "prune",
            "fit",
            "evaluate",
            "models",
            "promote",
            "rollback",
            "changes",
            "predict",
            "export",
            "report",
            "leaderboard",
        ),
        *("baselines", "data"),
    ],
)
def test_every_command_explains_itself(command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage:" in out
    assert command in {"data", "corrections"} or f"Example: python -m training {command}" in " ".join(out.split())


def test_the_store_and_the_model_come_from_the_environment(trained_store, monkeypatch):
    monkeypatch.setenv("DIGITS_STORE", str(trained_store.path))
    monkeypatch.setenv("DIGITS_MODEL", "tiny")
    code, out, _ = run("evaluate", "--json")
    assert (code, json.loads(out)["model"]) == (0, "tiny")


def test_digits_of_the_wrong_scale_are_not_guessed_at(tmp_path):
    digits = Digits(np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.uint8))
    np.savez(tmp_path / "half.npz", images=digits.images / 255 + 0.5, labels=digits.labels)
    code, _, err = run("evaluate", "tiny", "--data", tmp_path / "half.npz", "--store", tmp_path)
    assert code == 1
    assert err
