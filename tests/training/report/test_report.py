"""The report on a store: what its page holds, and that it says what cards and `evaluate` say."""

import json
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.report import Page, run
from training import mnist
from training.evaluation.scores import confusion
from training.report.champions import champions


@pytest.fixture(scope="module")
def made(trained_store, tmp_path_factory):
    """A report on the model `tiny` and the test images of MNIST: its text, and the processor's seconds it took."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    before = time.process_time()
    code, printed, _ = run("report", out, "--store", trained_store.path)
    assert (code, printed[: len(str(out)) + 10]) == (0, f"{out}: 1 models")
    return SimpleNamespace(html=out.read_text("utf-8"), seconds=time.process_time() - before)


def test_the_page_is_complete_in_itself(made):
    """Base64 holds slashes but no colon, so an address of another place would show."""
    found = Page(made.html)
    assert "://" not in made.html
    assert "<script" not in made.html
    assert "@import" not in made.html
    assert set(re.findall(r"url\((.)", made.html)) == {"#"}
    assert all(address.startswith("data:image/png;base64,") for address in found.values("src"))
    assert all(address.startswith("#") for address in found.values("href"))
    assert not {"link", "iframe", "object"} & {tag for tag, _ in found.tags}


def test_ids_are_unique_and_every_reference_has_its_target(made):
    found = Page(made.html)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    references = [address[1:] for address in found.values("href")] + re.findall(r"url\(#([^)]+)\)", made.html)
    assert set(references) <= set(ids)


def test_every_picture_has_a_description(made):
    found = Page(made.html)
    assert len(found.values("alt")) == len(found.values("src")) > 0


def test_the_sections_are_all_there(made):
    found = Page(made.html)
    sections = [attributes["id"] for tag, attributes in found.tags if tag == "section"]
    assert sections == ["leaderboard", "data", "distortion", "curves", "model-tiny"]
    assert made.html.count('class="chart"') == 6
    trust = "Which answers can be acted on?", "Does it know what is no digit?"
    for heading in ("The network", "What was read as what", *trust, "Misread", "Where it comes from"):
        assert made.html.count(f"<h3>{heading}</h3>") == 1


def test_the_page_says_what_evaluate_says(made, trained_store):
    metrics = json.loads(run("evaluate", "tiny", "--store", trained_store.path, "--json")[1])
    text = Page(made.html).text
    low, high = metrics["interval"]
    assert f"tiny misreads {metrics['errors']:,} of 10,000 digits it had never seen" in text
    assert f"{metrics['error']:.2%}".replace("%", " %") in text
    assert f"{100 * low:.2f} to {100 * high:.2f} %" in text
    assert f"log-loss {metrics['log_loss']:.4f}" in text


def test_the_confusion_matrix_is_that_of_the_answers(made, trained_store):
    test = mnist.test()
    probabilities = champions(trained_store, test)[0].probabilities
    cells = re.findall(r'<td class="(right|wrong|none)"[^>]*>(\d+)</td>', made.html)
    assert np.array_equal(np.array([int(n) for _, n in cells]).reshape(10, 10), confusion(probabilities, test.labels))
    assert [i for i, (kind, _) in enumerate(cells) if kind == "right"] == list(range(0, 100, 11))
    assert all((kind == "none") == (n == "0") for kind, n in cells if kind != "right")


def test_the_provenance_is_that_of_the_card(made, trained_store):
    card, text = trained_store.card("tiny", 1), Page(made.html).text
    assert card.data.sha256 in text
    assert card.code in text
    assert f"seed {card.recipe.seed}" in text
    assert f"jax {card.libraries['jax']}" in text
    assert "3,500 images to train on, 500 to validate" in text
    assert "batch_size 64" in text


def test_a_report_on_one_small_model_takes_less_than_15_seconds(made):
    assert made.seconds < 15


def test_the_report_has_the_rows_of_the_leaderboard(made, trained_store):
    (row,) = json.loads(run("leaderboard", "--store", trained_store.path, "--json")[1])
    low, high = row["interval"]
    assert (
        f"tiny version 1, seed 0 {100 * row['error']:.2f} % {100 * low:.2f} to {100 * high:.2f} % 12,730"
        in Page(made.html).text
    )
