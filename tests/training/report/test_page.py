"""The report's page for models of every kind: their mistakes, their distortions, their names."""

import re

import msgspec
import numpy as np

from tests.support.report import png, renamed, rendered
from training.evaluation.scores import score
from training.network.layers import Dense, Flatten
from training.recipe import Distortion, Recipe, Teacher
from training.report import page
from training.report.champions import Champion


def test_mistakes_are_shown_with_what_was_read_the_most_confident_first(trained_store, few_digits, tiny):
    labels, read = few_digits.labels, tiny.probabilities.argmax(axis=1)
    confidence = tiny.probabilities.max(axis=1)
    wrong = np.flatnonzero(read != labels)
    first = wrong[confidence[wrong].argmax()]
    found = rendered(trained_store, few_digits, tiny)
    shown = re.findall(r"(\d) → (\d) ([\d.]+) % #(\d+)", found.text)
    assert len(shown) == min(len(wrong), page.MISTAKES)
    assert shown[0] == (str(labels[first]), str(read[first]), f"{100 * confidence[first]:.1f}", str(first))
    picture = next(a["src"] for tag, a in found.tags if a.get("alt") == f"a {labels[first]}, read as {read[first]}")
    assert np.array_equal(np.asarray(png(picture)), few_digits.images[first])


def test_a_model_without_a_mistake_has_a_page_too(trained_store, few_digits, tiny):
    right = np.eye(10, dtype=np.float32)[few_digits.labels]
    text = rendered(trained_store, few_digits, Champion(tiny.card, 1, right, score(right, few_digits.labels))).text
    assert "tiny misreads 0 of 4,000 digits" in text
    assert "None: every image was read right." in text


def test_pictures_that_all_models_misread_are_shown_when_there_are_several(trained_store, few_digits, tiny):
    """The other model reads every digit as a 3."""
    threes = np.tile(np.eye(10, dtype=np.float32)[3], (len(few_digits), 1))
    other = Champion(renamed(tiny, "other").card, 1, threes, score(threes, few_digits.labels))
    both = (tiny.probabilities.argmax(axis=1) != few_digits.labels) & (few_digits.labels != 3)
    found = rendered(trained_store, few_digits, tiny, other)
    assert f"{both.sum()} of 4,000 images defeat every network" in found.text
    assert found.text.count("other: 3") == both.sum()
    assert "defeat every network" not in rendered(trained_store, few_digits, tiny).text


def test_a_model_s_own_distortion_is_shown_and_an_example_when_there_is_none(trained_store, few_digits, tiny):
    distortion = Distortion(elastic_px=0.75, rotation_rad=0.2)
    distorted = renamed(tiny, "bent", recipe=msgspec.structs.replace(tiny.card.recipe, distortion=distortion))
    text = rendered(trained_store, few_digits, tiny, distorted).text
    assert "Distorted copies for bent" in text
    assert "Elastic displacement 0.75 px, smoothed over 4.0 px; rotation up to 11°, scale ± 0 %" in text
    assert "elastic_px 0.75" in text
    plain = rendered(trained_store, few_digits, tiny)
    assert "None of these models was trained on distorted pictures" in plain.text
    assert "Elastic displacement 1.2 px" in plain.text
    strip = next(a["src"] for _, a in plain.tags if a.get("alt") == "a 0 and distorted copies of it")
    tiles = np.asarray(png(strip))[::3, ::3, 0]
    assert np.array_equal(tiles[:, :28], few_digits.images[few_digits.labels == 0][0])
    assert not np.array_equal(tiles[:, 30:58], tiles[:, :28])


def test_nine_models_have_a_page(trained_store, few_digits, tiny):
    """There are eight colours: once two models shared one, the later took the earlier's learning curve away."""
    found = rendered(trained_store, few_digits, *(renamed(tiny, f"net{i}") for i in range(9)))
    assert [i for i in found.values("id") if i.startswith("model-")] == [f"model-net{i}" for i in range(9)]


def test_what_users_write_is_not_markup(trained_store, few_digits, tiny):
    data = msgspec.structs.replace(tiny.card.data, source="<script>alert(1)</script>")
    found = rendered(trained_store, few_digits, renamed(tiny, "tiny", data=data))
    assert "script" not in {tag for tag, _ in found.tags}
    assert "<script>alert(1)</script>: 3,500 images" in found.text


def test_a_recipe_says_who_taught():
    teacher = Teacher(layers=(Flatten(), Dense(10)), recipe=Recipe(epochs=3), networks=2)
    assert "taught by" not in page._plain(Recipe())
    assert page._plain(Recipe(teacher=teacher))["taught by"] == "2 times a network of 7,850 weights"
