"""Distillation: a network learns the mean answer of teachers, which are trained first."""

import jax
import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.small import QUICK, TINY, nobody_watching
from training.distributed.mesh import data_parallel_mesh
from training.fitting import job
from training.fitting.distillation import compile_answer
from training.network.convolution import NATIVE
from training.network.layers import Dense, Flatten
from training.network.module import forward, initialise
from training.recipe import Recipe, Teacher
from training.store import Store

LARGER = (Flatten(), Dense(32, activation="relu"), Dense(10))
TAUGHT = replace(QUICK, teacher=Teacher(layers=LARGER, recipe=replace(QUICK, epochs=2), networks=2))


def test_the_teachers_answer_with_the_mean_of_their_probabilities(few_digits):
    teachers = [(layers, initialise(layers, NATIVE, jax.random.key(i))) for i, layers in enumerate([LARGER, TINY])]
    images = few_digits.images[:24].reshape(3, 2, 4, 28, 28)
    answer = compile_answer(teachers, data_parallel_mesh())
    answers = [answer(images, step) for step in range(3)]
    each = [jax.nn.softmax(forward(layers, NATIVE)(params, few_digits.images[:24])) for layers, params in teachers]
    np.testing.assert_allclose(answers, np.mean(each, axis=0).reshape(3, 2, 4, 10), atol=1e-6)


@pytest.fixture(scope="module")
def taught(few_digits, tmp_path_factory):
    """A network that learned from two teachers: the store, what was published, the names of what was trained."""
    store, names = Store(tmp_path_factory.mktemp("taught")), []
    published = job.run(store, "tiny", TINY, TAUGHT, few_digits, source="a test", resume=False, watching=note(names))
    return store, published, names


def note(names):
    def watching(model, recipe):
        names.append((model, recipe.seed))
        return nobody_watching(model, recipe)

    return watching


def test_teachers_are_trained_first_and_only_once(taught, few_digits):
    store, _, names = taught
    assert names == [("teacher", 0), ("teacher", 1), ("tiny", 0)]
    names.clear()
    again = replace(TAUGHT, seed=1)
    job.run(store, "tiny", TINY, again, few_digits, source="a test", resume=False, watching=note(names))
    assert names == [("tiny", 1)]
    other = replace(TAUGHT, teacher=replace(TAUGHT.teacher, layers=TINY, networks=1))
    job.run(store, "tiny", TINY, other, few_digits, source="a test", resume=False, watching=note(names))
    assert names == [("tiny", 1), ("teacher", 0), ("tiny", 0)]


def test_teachers_are_no_models_of_the_store_and_never_saw_the_validation_images(taught):
    store, published, _ = taught
    assert store.models() == ["tiny"]
    card, _ = Store(store.path / ".teachers").load("teacher", 1)
    assert card.data == published.card.data
    assert card.recipe.validation_images == QUICK.validation_images


def test_the_answers_are_learned_and_not_the_labels(few_digits, tmp_path):
    """The teacher learned with a rate of nothing, so all it can teach is what it was born with."""
    ignorant = Teacher(layers=LARGER, recipe=replace(QUICK, epochs=1, optimizer="sgd", learning_rate=1e-9))
    store = Store(tmp_path)
    recipe = replace(QUICK, teacher=ignorant)
    _, card = job.run(store, "tiny", TINY, recipe, few_digits, source="a test", resume=False, watching=nobody_watching)
    assert card.validation.error > 0.5


def test_the_card_counts_the_time_of_the_teachers(taught):
    store, published, _ = taught
    own = sum(row.seconds for row in published.card.history)
    kept = Store(store.path / ".teachers")
    assert published.card.training_seconds == pytest.approx(
        own + sum(kept.card("teacher", version).training_seconds for version in (1, 2))
    )


def test_a_recipe_file_can_name_a_teacher(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        "epochs = 2\n[teacher]\nnetworks = 3\n[teacher.recipe]\nepochs = 1\n"
        '[[teacher.layers]]\nkind = "flatten"\n[[teacher.layers]]\nkind = "dense"\nfeatures = 10\n'
    )
    wanted = Teacher(layers=(Flatten(), Dense(10)), recipe=Recipe(epochs=1), networks=3)
    assert Recipe.read(file) == Recipe(epochs=2, teacher=wanted)
