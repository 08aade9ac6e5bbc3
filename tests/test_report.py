import base64
import io
import json
import re
import shutil
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from training import mnist
from training.baselines import CHOSEN
from training.card import EpochRow
from training.commands import evaluate, leaderboard, report
from training.data.digits import Digits
from training.evaluate import confusion, score
from training.layers import Conv, Dense, Dropout, Flatten, MaxPool
from training.models import MODELS
from training.recipe import Distortion, Recipe, Teacher
from training.rejection import uncalibrated
from training.reliability import reliability
from training.report import charts, page, pictures
from training.report.champions import Champion, champions
from training.report.drawing import BOX, stages
from training.report.standing import Standing, standing
from training.report.wording import count, duration, several

SPACE = "\N{NARROW NO-BREAK SPACE}"
SVG_WITHOUT_CONTENT = {"rect", "path", "use"}

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(report.report)
app.command()(leaderboard.leaderboard)
app.command()(evaluate.evaluate)


def run(*arguments) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; sentences are put back on one line."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


class Page(HTMLParser):
    """An HTML page taken apart; it stops at a tag that is closed out of turn, or not at all."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SVG_WITHOUT_CONTENT, f"<{tag}/> means <{tag}> in HTML"
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).replace(SPACE, " ").split())

    def values(self, attribute, of=None):
        return [found[attribute] for tag, found in self.tags if attribute in found and tag == (of or tag)]


@pytest.fixture(scope="module")
def made(trained_store, tmp_path_factory):
    """A report on the model `tiny` and the test images of MNIST: its text, and the processor's seconds it took."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    before = time.process_time()
    code, printed, _ = run("report", out, "--store", trained_store.path)
    assert (code, printed[: len(str(out)) + 10]) == (0, f"{out}: 1 models")
    return SimpleNamespace(html=out.read_text("utf-8"), seconds=time.process_time() - before)


@pytest.fixture(scope="module")
def tiny(trained_store, few_digits) -> Champion:
    """The champion `tiny` on digits it was trained on: enough to draw."""
    return champions(trained_store, few_digits)[0]


def row_of(champion) -> Standing:
    return standing([(champion.version, champion.card, champion.metrics)])


def rendered(trained_store, few_digits, *found, rows=()) -> Page:
    """The page of champions; `rows` stand in the leaderboard beside theirs, or in place of those of the same model."""
    weights = trained_store.load("tiny", 1)[1]
    source = page.Source(few_digits, "a few digits")
    return Page(
        page.render(
            found,
            [weights] * len(found),
            list(({of.name: row_of(of) for of in found} | {row.model: row for row in rows}).values()),
            tested=source,
            seen=source,
            store="a store",
            code="0",
            now=datetime(2026, 1, 2, tzinfo=UTC),
        )
    )


def png(address) -> Image.Image:
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def renamed(champion, name, **changes) -> Champion:
    card = msgspec.structs.replace(champion.card, model=name, **changes)
    return Champion(card, champion.version, champion.probabilities, champion.metrics)


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


def test_a_baseline_stands_in_the_leaderboard_and_has_no_chapter(trained_store, few_digits, tiny):
    row = msgspec.structs.replace(
        row_of(tiny), model="random_forest", versions=(), weights=None, error=0.0, errors=(0,)
    )
    found = rendered(trained_store, few_digits, tiny, rows=[row])
    assert "random forest misreads 0 of 4,000" in found.text
    assert "random forest baseline, seed 0 0.00 %" in found.text
    assert "model-random_forest" not in found.values("id")


def test_nine_models_have_a_page(trained_store, few_digits, tiny):
    """There are eight colours: once two models shared one, the later took the earlier's learning curve away."""
    found = rendered(trained_store, few_digits, *(renamed(tiny, f"net{i}") for i in range(9)))
    assert [i for i in found.values("id") if i.startswith("model-")] == [f"model-net{i}" for i in range(9)]


def test_what_users_write_is_not_markup(trained_store, few_digits, tiny):
    data = msgspec.structs.replace(tiny.card.data, source="<script>alert(1)</script>")
    found = rendered(trained_store, few_digits, renamed(tiny, "tiny", data=data))
    assert "script" not in {tag for tag, _ in found.tags}
    assert "<script>alert(1)</script>: 3,500 images" in found.text


def test_the_network_is_drawn_with_the_shapes_and_weights_of_every_layer():
    drawn = stages(MODELS["lenet"])
    assert [stage.shape for stage in drawn] == [
        *((28, 28, 1), (24, 24, 32), (12, 12, 32), (10, 10, 32), (5, 5, 32), (800,), (100,), (100,), (10,))
    ]
    assert [stage.weights for stage in drawn] == [0, 832, 0, 9248, 0, 0, 80100, 0, 1010]
    assert sum(stage.weights for stage in drawn) == 91190
    assert sum(stage.share for stage in drawn) == pytest.approx(1)
    assert (drawn[1].title, drawn[1].detail) == (f"convolution 5{SPACE}\N{MULTIPLICATION SIGN}{SPACE}5", "valid, relu")
    for stage in drawn:
        for of in stage.drawing:
            assert min(of.x, of.y) >= 0
            assert max(of.x + of.width, of.y + of.height) <= BOX


def test_a_chart_has_a_mark_for_each_epoch_and_the_colours_of_the_page(tiny):
    history = tuple(EpochRow(epoch, 1 / epoch, 0.0 if epoch == 5 else 0.1 / epoch, 1.0, 1.0) for epoch in range(1, 6))
    card = msgspec.structs.replace(tiny.card, history=history)
    for chart in (charts.losses([card], charts.SERIES[:1]), charts.validation_errors([card], charts.SERIES[:1])):
        assert len(re.findall(r'<use [^>]*style="fill: var\(--series-0\)', chart)) == 5
        assert not [colour for colour in charts.VARIABLES if colour in chart]
        assert "epoch</text>" in chart
        Page(chart)


def test_every_colour_of_the_light_page_has_a_dark_one_and_the_other_way_round():
    css = (Path(page.__file__).with_name("page.css")).read_text()
    light, dark = (
        set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    )
    assert light == dark
    assert set(charts.VARIABLES.values()) <= light
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= light | {"--series", "--strength"}


def test_reliability_puts_equally_many_answers_into_each_bin():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(10, 0.1), 1000)
    found = reliability(probabilities, random.integers(0, 10, 1000))
    assert sorted({of.answers for of in found.bins}) == [66, 67]
    assert (len(found.bins), sum(of.answers for of in found.bins)) == (15, 1000)
    confidences = [of.confidence for of in found.bins]
    assert confidences == sorted(confidences)


def test_the_expected_calibration_error_is_how_far_confidence_is_off():
    """80 % sure of a 0; of each ten answers six are right."""
    probabilities = np.tile([0.8, 0.2, *[0.0] * 8], (1500, 1))
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 0] * 150)
    found = reliability(probabilities, labels)
    assert found.error == pytest.approx(0.2)
    assert all((of.confidence, of.right) == (pytest.approx(0.8), pytest.approx(0.6)) for of in found.bins)
    assert all(of.interval[0] < 0.6 < of.interval[1] for of in found.bins)


def test_fewer_answers_than_bins_are_a_bin_each():
    assert [of.answers for of in reliability(np.eye(10)[:3], [0, 1, 5]).bins] == [1, 1, 1]


def test_the_temperature_can_be_taken_back():
    logits = np.random.default_rng(0).normal(size=(100, 10)) * 5

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    assert uncalibrated(softmax(logits / 1.7), 1.7) == pytest.approx(softmax(logits), abs=1e-12)
    assert np.array_equal(uncalibrated(np.eye(10), 1.7), np.eye(10))


def test_filters_lie_as_they_lie_on_the_picture():
    kernel = np.zeros((5, 5, 1, 32), np.float32)
    kernel[1, 4, 0, 7] = 1
    found = pictures.first_filters(MODELS["lenet"], {"conv_0": {"kernel": kernel}})
    assert found.shape == (32, 5, 5)
    assert np.argwhere(found).tolist() == [[7, 1, 4]]

    kernel = np.zeros((784, 200), np.float32)
    kernel[28 * 3 + 9, 5] = 1
    found = pictures.first_filters(MODELS["mlp"], {"dense_1": {"kernel": kernel}})
    assert found.shape == (200, 28, 28)
    assert np.argwhere(found).tolist() == [[5, 3, 9]]


def test_a_first_layer_that_does_not_see_the_picture_has_no_filters():
    layers = (MaxPool(2), Flatten(), Dropout(0.1), Dense(10))
    assert pictures.first_filters(layers, {"dense_3": {"kernel": np.zeros((196, 10))}}) is None
    assert (
        pictures.first_filters(
            (Conv(3, kernel=3), Flatten(), Dense(10)), {"conv_0": {"kernel": np.zeros((3, 3, 1, 3))}}
        )
        is not None
    )


def test_filters_are_orange_for_ink_and_blue_against_it_and_clear_where_it_does_not_matter():
    sheet = np.asarray(png(pictures.filters(np.array([[[1.0, 0.0, -1.0]]], np.float32))))
    third = sheet.shape[1] // 3
    assert sheet[0, 0].tolist() == [*pictures.FOR, 255]
    assert sheet[0, third, 3] == 0
    assert sheet[0, -1].tolist() == [*pictures.AGAINST, 255]


def test_the_strongest_filters_keep_their_order():
    kernels = np.arange(5, dtype=np.float32)[[3, 0, 4, 1, 2], None, None] * np.ones((5, 2, 2), np.float32)
    assert pictures.strongest(kernels, 3)[:, 0, 0].tolist() == [3, 4, 2]


def test_digits_in_a_strip_are_unsmoothed_with_clear_gaps(few_digits):
    strip = np.asarray(png(pictures.strip(few_digits.images[:3])))
    assert strip.shape == (84, 3 * 84 + 2 * 6, 2)
    for place in range(3):
        tile = strip[:, place * 90 : place * 90 + 84]
        assert np.array_equal(tile[..., 0], few_digits.images[place].repeat(3, axis=0).repeat(3, axis=1))
        assert (tile[..., 1] == 255).all()
    assert (strip[:, 84:90, 1] == 0).all()


def test_baselines_are_fitted_and_ranked_when_asked_for(trained_store, few_digits, monkeypatch, tmp_path):
    np.savez(tmp_path / "own.npz", images=few_digits.images[:500], labels=few_digits.labels[:500])
    few = mnist.train().take(np.arange(6000))
    monkeypatch.setattr(mnist, "train", lambda: few)
    monkeypatch.setitem(CHOSEN, "logistic_regression", {"tol": 0.5})
    monkeypatch.setitem(CHOSEN, "random_forest", {"n_estimators": 3})
    asked = ("--store", trained_store.path, "--data", tmp_path / "own.npz", "--baselines")
    code, out, _ = run("leaderboard", *asked, "--json")
    rows = {row["model"]: row for row in json.loads(out)}
    assert code == 0
    assert rows.keys() == {"tiny", "logistic_regression", "random_forest"}
    assert [row["error"] for row in rows.values()] == sorted(row["error"] for row in rows.values())
    assert rows["random_forest"]["versions"] == []
    assert (rows["logistic_regression"]["weights"], rows["random_forest"]["weights"]) == (7850, None)
    assert {row["images"] for row in rows.values()} == {500}
    assert run("report", tmp_path / "report.html", *asked)[0] == 0
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    for name in ("logistic regression", "random forest"):
        assert f"{name} baseline, seed 0 {100 * rows[name.replace(' ', '_')]['error']:.2f} %" in text


def test_a_network_with_several_seeds_has_a_row_of_means_and_says_over_which(trained_store, few_digits, tiny):
    """Wrong: 400, 403 and 408 of 4,000."""
    cards = [
        msgspec.structs.replace(
            tiny.card, recipe=msgspec.structs.replace(tiny.card.recipe, seed=seed), training_seconds=t
        )
        for seed, t in ((0, 60.0), (1, 70.0), (2, 80.0))
    ]
    metrics = [msgspec.structs.replace(tiny.metrics, errors=n, error=n / 4000) for n in (400, 408, 403)]
    row = standing(list(zip((3, 5, 8), cards, metrics, strict=True)))
    text = rendered(trained_store, few_digits, tiny, rows=[row]).text
    assert "tiny misreads 403.7 of 4,000 digits it had never seen" in text
    assert "an error of 10.09 % on a few digits, the mean of 3 networks that differ by chance alone; on ever" in text
    low, high = row.interval
    assert (
        f"tiny versions 3, 5, 8, seeds 0, 1, 2 10.09 % {100 * low:.2f} to {100 * high:.2f} % seeds: 10.00 to 10.20 % "
        "12,730 70 s"
    ) in text
    assert "the interval is no narrower than one seed's" in text
    assert "the interval is no narrower" not in rendered(trained_store, few_digits, tiny).text


def test_the_report_has_the_rows_of_the_leaderboard(made, trained_store):
    (row,) = json.loads(run("leaderboard", "--store", trained_store.path, "--json")[1])
    low, high = row["interval"]
    assert (
        f"tiny version 1, seed 0 {100 * row['error']:.2f} % {100 * low:.2f} to {100 * high:.2f} % 12,730"
        in Page(made.html).text
    )


def test_counts_and_lists_read_well():
    assert (count(91190), count(45.333), count(45.0)) == ("91,190", "45.3", "45")
    assert (several("seed", [0]), several("seed", (0, 1, 2))) == ("seed 0", "seeds 0, 1, 2")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 s"), (2.0, "2 s"), (6.94, "6.9 s"), (64.1, "64 s"), (725, "12 min"), (9000, "2.5 h")],
)
def test_durations_read_well(seconds, said):
    assert duration(seconds).replace(SPACE, " ") == said


@pytest.mark.parametrize(
    "command", [["report", "{folder}/report.html"], ["leaderboard"]], ids=["report", "leaderboard"]
)
def test_an_empty_store_is_refused(tmp_path, command):
    code, out, err = run(*(part.format(folder=tmp_path) for part in command), "--store", tmp_path / "none")
    assert (code, out) == (1, "")
    assert err.endswith(f"error: the store {tmp_path}/none is empty; fill it with python -m training fit lenet --quick")
    assert not list(tmp_path.iterdir())


def test_a_damaged_champion_is_refused_and_an_older_report_stays(trained_store, tmp_path):
    copied = tmp_path / "store"
    shutil.copytree(trained_store.path, copied)
    (copied / "tiny/1/card.json").write_text("{}")
    (tmp_path / "report.html").write_text("the older one")
    code, _, err = run("report", tmp_path / "report.html", "--store", copied)
    assert code == 1
    assert "card.json" in err
    assert (tmp_path / "report.html").read_text() == "the older one"


@pytest.mark.parametrize(
    ("out", "code", "message"),
    [
        ("report.pdf", 2, "report.pdf does not end in .html"),
        ("nowhere/report.html", 1, "nowhere/report.html: want a file in a folder that exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_slow(
    trained_store, monkeypatch, tmp_path, out, code, message
):
    monkeypatch.setattr(mnist, "test", lambda: pytest.fail("read the test images"))
    found = run("report", tmp_path / out, "--store", trained_store.path)
    assert found[0] == code
    assert message in found[2]


def test_own_digits_are_tested_and_named(trained_store, few_digits, tmp_path):
    mine = Digits(few_digits.images[:100], few_digits.labels[:100])
    np.savez(tmp_path / "own.npz", images=mine.images, labels=mine.labels)
    code, _, _ = run("report", tmp_path / "report.HTML", "--store", trained_store.path, "--data", tmp_path / "own.npz")
    text = Page((tmp_path / "report.HTML").read_text("utf-8")).text
    assert code == 0
    assert f"Tested on {tmp_path}/own.npz." in text
    assert "of 100 digits it had never seen" in text


def test_a_recipe_says_who_taught():
    teacher = Teacher(layers=(Flatten(), Dense(10)), recipe=Recipe(epochs=3), networks=2)
    assert "taught by" not in page._plain(Recipe())
    assert page._plain(Recipe(teacher=teacher))["taught by"] == "2 times a network of 7,850 weights"
