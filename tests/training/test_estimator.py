"""The scikit-learn estimator: conformance, parameters, fitting, saving and loading."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dict_unchanged,
    check_dont_overwrite_parameters,
    check_no_attributes_set_in_init,
    parametrize_with_checks,
)

from tests.support.small import TINY, unwatched
from training.data.digits import DataError
from training.data.split import split
from training.estimator import NeuralNetClassifier
from training.fitting.loop import Diverged, before_first_epoch, fit
from training.images import PixelError
from training.network.layers import INPUT, Conv, Dense, Dropout, Flatten, Input, LayerError, LayerFile, MaxPool, Reshape
from training.network.models import MODELS
from training.recipe import Distortion, Recipe, RecipeError

IRIS, KINDS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KINDS]
LAYERS = [Dense(16, activation="tanh"), Dense(3)]


def small(**parameters) -> NeuralNetClassifier:
    """A network that learns iris in a second."""
    chosen = {"layers": LAYERS, "epochs": 25, "batch_size": 16, "learning_rate": 0.02, "random_state": 0}
    return NeuralNetClassifier(**{**chosen, **parameters})


@pytest.fixture(scope="module")
def iris() -> NeuralNetClassifier:
    return small().fit(IRIS, NAMES)


@pytest.fixture
def pictures(few_digits):
    return few_digits.images.reshape(-1, 784), few_digits.labels


def weights_of(estimator) -> bytes:
    return b"".join(leaf.tobytes() for leaves in estimator.params_.values() for leaf in leaves.values())


@pytest.mark.slow
@parametrize_with_checks([NeuralNetClassifier()])
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [check_no_attributes_set_in_init, check_dont_overwrite_parameters, check_dict_unchanged],
    ids=lambda check: check.__name__,
)
def test_scikit_learn_finds_nothing_wrong_at_first_sight(check):
    """A few of its checks; the others train for half a minute."""
    check("NeuralNetClassifier", small(epochs=1))


def test_every_field_of_a_recipe_is_a_parameter_with_the_same_default():
    elsewhere = {"seed": "random_state", "validation_images": "validation_fraction"}
    parameters = NeuralNetClassifier().get_params()
    assert set(Recipe.__struct_fields__) - set(elsewhere) - {"teacher"} <= set(parameters)
    assert NeuralNetClassifier(random_state=0)._recipe() == Recipe()


def test_it_learns_a_table_with_words_for_classes(iris):
    assert iris.score(IRIS, NAMES) > 0.95
    assert iris.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert iris.layers_ == (Input((4,), 3), *LAYERS)
    np.testing.assert_allclose(iris.predict_proba(IRIS).sum(axis=1), 1, rtol=1e-12)


def test_a_table_of_pixels_can_be_read_as_pictures_of_any_size():
    pixels, digits = load_digits(return_X_y=True)
    layers = [Reshape((8, 8, 1)), Conv(8, kernel=3, activation="relu"), MaxPool(2), Flatten(), Dense(10)]
    network = NeuralNetClassifier(layers, epochs=5, batch_size=32, learning_rate=0.01, random_state=0)
    assert network.fit(pixels[:1200] / 16, digits[:1200]).score(pixels[1200:] / 16, digits[1200:]) > 0.85


def test_pictures_are_trained_on_bit_for_bit_as_by_the_command(few_digits, pictures):
    recipe = Recipe(epochs=2, seed=3, distortion=Distortion(elastic_px=1.0, shift_px=1.0), average=0.9)
    start = before_first_epoch(TINY, recipe)
    *_, last = fit(TINY, recipe, *split(few_digits, 500), start, unwatched)
    network = NeuralNetClassifier(
        TINY, scale=255, epochs=2, distortion=recipe.distortion, average=0.9, validation_fraction=0.125, random_state=3
    ).fit(*pictures)
    assert network.layers_ == TINY
    assert weights_of(network) == b"".join(
        np.asarray(leaf).tobytes() for leaves in last.state.average.values() for leaf in leaves.values()
    )
    assert [row["validation_error"] for row in network.history_] == [row.validation_error for row in last.history]
    assert network.history_[-1]["validation_error"] < 0.25


def test_a_named_model_gets_as_many_logits_as_there_are_classes(pictures):
    rows, labels = (part[np.isin(pictures[1], [3, 8])] for part in pictures)
    network = NeuralNetClassifier("mlp", scale=1, epochs=4, random_state=0).fit(rows[:400] / 255, labels[:400])
    assert network.layers_ == (Input(INPUT, 2), *MODELS["mlp"][:-1], Dense(2))
    assert network.score(rows[400:] / 255, labels[400:]) > 0.85
    alone = np.concatenate([network.predict_proba(row[None] / 255) for row in rows[:40]])
    np.testing.assert_array_equal(alone, network.predict_proba(rows[:40] / 255), "neighbours change an answer")


def test_the_same_random_state_gives_the_same_bits_and_another_does_not(iris):
    assert weights_of(small().fit(IRIS, NAMES)) == weights_of(iris)
    assert weights_of(small(random_state=1).fit(IRIS, NAMES)) != weights_of(iris)
    states = [np.random.RandomState(5), np.random.RandomState(5)]
    first, second = (weights_of(small(epochs=1, random_state=state).fit(IRIS, NAMES)) for state in states)
    assert first == second


def test_it_works_in_a_pipeline_and_in_cross_validation():
    pipeline = make_pipeline(StandardScaler(), small(epochs=10))
    assert cross_val_score(pipeline, IRIS, NAMES, cv=3).min() > 0.85


def test_a_grid_search_finds_the_rate_that_learns():
    grid = {"learning_rate": np.array([1e-6, 0.02]), "layers": [LAYERS], "epochs": np.array([10])}
    search = GridSearchCV(small(), grid, cv=2).fit(IRIS, NAMES)
    assert search.best_params_["learning_rate"] == 0.02
    assert search.best_estimator_.score(IRIS, NAMES) > 0.9


def test_clones_are_equal_and_unfitted_and_pickles_are_fitted(iris):
    copy = clone(iris)
    assert copy.get_params() == iris.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(IRIS)
    again = pickle.loads(pickle.dumps(iris))
    np.testing.assert_array_equal(again.predict_proba(IRIS), iris.predict_proba(IRIS))


def test_a_callback_sees_every_epoch_and_can_predict_and_can_end_training():
    seen = []

    def watch(estimator, row):
        seen.append((row["epoch"], row["validation_error"], estimator.predict(IRIS[:1]).shape))
        return row["epoch"] == 3

    network = small(callbacks=[watch], validation_fraction=0.2).fit(IRIS, NAMES)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3]
    assert all(0 <= error <= 1 and shape == (1,) for _, error, shape in seen)
    assert [row["epoch"] for row in network.history_] == [1, 2, 3]


def test_nothing_is_measured_where_nothing_is_held_out(iris):
    assert {row["validation_error"] for row in iris.history_} == {None}
    assert all(math.isfinite(row["loss"]) for row in iris.history_)


def test_held_out_rows_are_not_trained_on(monkeypatch):
    seen = []

    def spy(layers, recipe, training, validation, start, watch):
        seen.extend((set(training.images[:, 0]), set(validation.images[:, 0])))
        return iter(())

    monkeypatch.setattr("training.estimator.fit", spy)
    small(layers=[Dense(3)], validation_fraction=0.2).fit(np.arange(len(IRIS))[:, None], KINDS)
    trained, held_out = seen
    assert (len(trained), len(held_out)) == (120, 30)
    assert not trained & held_out


def test_partial_fit_goes_on_from_where_it_was():
    """Three calls are three epochs at a constant rate, momentum and random keys included."""
    whole = small(epochs=3, schedule="constant", warmup_epochs=0).fit(IRIS, NAMES)
    network = small().partial_fit(IRIS, NAMES, classes=["setosa", "versicolor", "virginica"])
    network.partial_fit(IRIS, NAMES).partial_fit(IRIS, NAMES)
    assert [row["epoch"] for row in network.history_] == [1, 2, 3]
    assert weights_of(network) == weights_of(whole)
    network.set_params(optimizer="sgd").partial_fit(IRIS, NAMES)
    assert network.history_[-1]["loss"] < network.history_[0]["loss"]


def test_partial_fit_says_what_is_wrong_with_classes(iris):
    with pytest.raises(ValueError, match=r"classes is None in the first call of partial_fit, want all labels"):
        small().partial_fit(IRIS, NAMES)
    with pytest.raises(ValueError, match=r"y has the label .*'rose'.*, want one of \['setosa', 'versicolor'"):
        clone(iris).fit(IRIS, NAMES).partial_fit(IRIS[:1], ["rose"])
    with pytest.raises(ValueError, match=r"classes is \['rose'\], want what it was at first"):
        clone(iris).fit(IRIS, NAMES).partial_fit(IRIS[:1], ["setosa"], classes=["rose"])


def test_a_warm_start_goes_on_from_the_weights_and_a_cold_one_does_not():
    network = small(warm_start=True).fit(IRIS, NAMES)
    trained = network.history_[-1]["loss"]
    network.set_params(epochs=1).fit(IRIS, NAMES)
    assert len(network.history_) == 26
    assert network.history_[-1]["loss"] < 2 * trained + 0.05
    with pytest.raises(ValueError, match="layers or scale is not what it was"):
        network.set_params(layers=[Dense(3)]).fit(IRIS, NAMES)
    cold = network.set_params(warm_start=False).fit(IRIS, NAMES)
    assert len(cold.history_) == 1
    assert cold.history_[-1]["loss"] > 0.5


@pytest.mark.parametrize("labels", [NAMES, NAMES.astype(object), KINDS, KINDS.astype(float), KINDS > 0])
def test_what_is_loaded_answers_as_what_was_saved(tmp_path, labels):
    layers = [Dense(16, activation="tanh"), Dropout(0.1), Dense(len(np.unique(labels)))]
    saved = small(layers=layers, epochs=np.int64(2)).fit(IRIS, labels)
    saved.save(tmp_path / "iris.npz")
    loaded = NeuralNetClassifier.load(tmp_path / "iris.npz")
    np.testing.assert_array_equal(loaded.predict_proba(IRIS), saved.predict_proba(IRIS))
    np.testing.assert_array_equal(loaded.predict(IRIS), saved.predict(IRIS))
    assert loaded.classes_.dtype == saved.classes_.dtype
    assert loaded.history_ == saved.history_
    assert loaded.layers_ == saved.layers_
    assert loaded.partial_fit(IRIS, labels).history_[-1]["loss"] < saved.history_[0]["loss"]
    assert clone(loaded).fit(IRIS, labels).layers_ == saved.layers_


def test_a_damaged_file_is_refused_by_name(tmp_path, iris):
    path = tmp_path / "iris.npz"
    iris.save(path)
    good = path.read_bytes()
    for place in range(0, len(good), 5):
        path.write_bytes(bytes([*good[:place], good[place] ^ 4, *good[place + 1 :]]))
        try:
            loaded = NeuralNetClassifier.load(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: not a saved estimator, or a damaged one")  # noqa: PT017
        else:  # the flip hit what means nothing, such as a date
            assert weights_of(loaded) == weights_of(iris)
            assert loaded.classes_.tolist() == iris.classes_.tolist()


def test_what_is_not_an_estimator_is_refused_and_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "objects.npz", **{"estimator.json": np.array([small()], object)})
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("objects.npz", "other.npz", "one.npy", "text.npz"):
        with pytest.raises(DataError, match=name):
            NeuralNetClassifier.load(tmp_path / name)
    with pytest.raises(NotFittedError):
        small().save(tmp_path / "no.npz")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"layers": "lent"},
            LayerError,
            r"no network is named 'lent': want one of .*, or a list of layers; did you mean lenet\?$",
        ),
        ({"layers": [Dense(5)]}, LayerError, r"layers\[0\] \(dense\) gives \[n, 5\].* \[n, 3\]: one logit a class"),
        ({"layers": "lenet"}, LayerError, r"layers\[0\] \(conv\) gets \[n, 4\], wants three axes"),
        (
            {"layers": [{"kind": "dens"}]},
            LayerError,
            r"layers is not a list of layers: \[0\].kind is 'dens'.* did you mean dense",
        ),
        ({"layers": [Input((4,), 3), Dense(3)]}, LayerError, "layers is not a list of layers"),
        ({"layers": []}, LayerError, "the network has no layers"),
        ({"epochs": 0}, RecipeError, "the recipe cannot be followed: epochs is 0, want a whole number >= 1"),
        ({"random_state": -1}, RecipeError, "the recipe cannot be followed: .*seed"),
        ({"scale": 255}, ValueError, "X has 4 features, want 784: with a scale, rows are pictures"),
        ({"distortion": {"shift_px": 1}}, ValueError, "distortion is for pictures: want a scale"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction is 1.0, want at least 0 and less than 1"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_reason(parameters, error, message):
    with pytest.raises(error, match=message):
        small(**parameters).fit(IRIS, NAMES)


def test_a_file_cannot_list_what_only_an_estimator_has(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text('layers = [{kind = "input", axes = [4], classes = 3}, {kind = "dense", features = 3}]')
    with pytest.raises(LayerError, match=r"net\.toml: layers\[0\]\.kind is 'input', want one of conv, "):
        LayerFile.read(path)


def test_a_picture_with_too_much_ink_is_refused(pictures):
    rows, labels = pictures
    with pytest.raises(PixelError, match="want a number from 0 to 1"):
        NeuralNetClassifier(TINY, scale=1).fit(rows[:50], labels[:50])


def test_pictures_that_run_to_1_are_refused_with_a_scale_of_255(pictures):
    """They were learned as if every picture were black, without a word."""
    rows, labels = pictures
    with pytest.raises(ValueError, match="X has no number above 1, want 0 to 255; for pixels from 0 to 1 say scale=1"):
        NeuralNetClassifier(TINY, scale=255).fit(rows[:50] / 255, labels[:50])


def test_a_training_that_fails_leaves_no_old_weights_behind():
    network = small(layers=[Dense(3)], epochs=1).fit(IRIS, NAMES)
    with pytest.raises(Diverged, match="try a lower learning rate"):
        network.set_params(optimizer="sgd").fit(IRIS * 1e30, NAMES)
    with pytest.raises(NotFittedError):
        network.predict(IRIS)
