"""The page in a real browser, Debian's Chromium: a person draws, drops and pastes, and reads what a network says."""

from __future__ import annotations

import base64
import io
import re
import sqlite3

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from service.app import create_app
from service.routes.page import FOLDER
from service.settings import ServiceSettings
from service.state import make_state
from tests.support.application import app_with, served
from tests.support.browser import STROKES, choose, draw, opened, shows
from tests.support.fake_predictor import FakePredictor
from tests.support.small import nobody_watching
from training import mnist
from training.fitting.job import run
from training.network.models import MODELS
from training.picture import prepare
from training.recipe import Recipe
from training.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory, few_digits):
    """A store with a network that can read: the `mlp`, trained on 8,000 digits in a few seconds."""
    store = Store(tmp_path_factory.mktemp("page"))
    recipe = Recipe(epochs=6, validation_images=500)
    digits = mnist.train().take(np.arange(8000))
    run(store, "lenet", MODELS["mlp"], recipe, digits, source="a test", resume=False, watching=nobody_watching)
    return store


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("corrections") / "corrections.sqlite3"


@pytest.fixture(scope="module")
def url(store, database):
    settings = ServiceSettings(store=str(store.path), feedback_url=f"sqlite:///{database}", poll_interval_s=0)
    with served(create_app(make_state(settings))) as (host, port):
        yield f"http://{host}:{port}/"


@pytest.fixture
def page(chromium, url):
    with opened(chromium, url) as page:
        yield page


@pytest.fixture(scope="module")
def files():
    """The URL of a service with a fake predictor."""
    with served(app_with(FakePredictor())) as (host, port):
        yield f"http://{host}:{port}/"


def png(image, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).resize((280, 280), Image.Resampling.NEAREST).save(file, form)
    return file.getvalue()


def sample(digit):
    """A digit of MNIST that no network of these tests was trained on, and that any can read."""
    train = mnist.train()
    return train.images[20_000 + np.flatnonzero(train.labels[20_000:] == digit)[1]]


TRANSFER = """([name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "digit.png", {type}));
  const event = name === "paste" ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
                                 : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
  document.body.dispatchEvent(event);
}"""


def give(page, name, content, media_type="image/png"):
    """Drops or pastes a file."""
    page.evaluate(TRANSFER, [name, media_type, base64.b64encode(content).decode()])


def test_digits_that_are_drawn_are_read(page):
    for digit in STROKES:
        draw(page, digit)
        shows(page, digit)
        expect(page.locator("#state")).to_have_text(re.compile("^(Accepted|Refused: .+)$"))
        page.keyboard.press("Escape")
        expect(page.locator("#sure")).to_have_text("Nothing to read yet")


SMALL = [(0.4, 0.1, 0.1), (0.25, 0.5, 0.1), (0.2, 0.3, 0.65)]
"""Shares of the paper's side: the size of a drawing, and how far it is from the left and from the top."""


@pytest.mark.parametrize(("scale", "left", "top"), SMALL)
def test_small_digits_are_read_as_large_ones_are(page, scale, left, top):
    """A pen as wide as for a large digit filled the loops of a small one: a nine was "all one colour"."""
    for digit in STROKES:
        draw(page, digit, scale=scale, left=left, top=top)
        shows(page, digit)
        page.keyboard.press("Escape")
        expect(page.locator("#sure")).to_have_text("Nothing to read yet")


def test_a_dot_is_not_asked_about_until_it_has_become_a_stroke(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
    box = page.locator("#drawing").bounding_box()
    middle, top = box["x"] + box["width"] / 2, box["y"] + 0.2 * box["height"]
    page.mouse.move(middle, top)
    page.mouse.down()
    page.wait_for_timeout(500)  # five times the pause before a question
    page.mouse.move(middle, top + 0.05 * box["height"], steps=4)
    page.wait_for_timeout(500)
    assert asked == []
    expect(page.locator("#sure")).to_have_text("Nothing to read yet")
    page.mouse.move(middle, top + 0.6 * box["height"], steps=6)
    page.mouse.up()
    shows(page, 1)
    page.keyboard.press("Escape")
    page.mouse.move(middle, top)
    page.mouse.down()
    page.mouse.up()
    draw(page, 1)
    shows(page, 1)
    page.keyboard.press("Control+z")  # and the dot is left
    expect(page.locator("#sure")).to_have_text("Nothing to read yet")


def test_what_the_model_saw_is_what_the_service_prepared(page):
    image = sample(5)
    page.locator("#file").set_input_files({"name": "5.png", "mimeType": "image/png", "buffer": png(image)})
    shows(page, 5)
    seen = page.evaluate(
        "[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
        ".filter((_, i) => i % 4 === 0)"
    )
    assert seen == prepare(Image.open(io.BytesIO(png(image)))).ravel().tolist()


@pytest.mark.parametrize("name", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_read(page, name):
    give(page, name, png(sample(6)))
    shows(page, 6)
    expect(page.locator("#photo")).to_be_visible()
    draw(page, 7)  # which takes the photo's place
    shows(page, 7)
    expect(page.locator("#photo")).to_be_hidden()


@pytest.mark.parametrize(
    ("form", "sent"),
    [("GIF", "image/gif"), ("BMP", "image/bmp"), ("TIFF", "image/tiff"), ("WEBP", "image/png")],
)
def test_a_photo_in_another_format_is_sent_as_it_is_or_as_png(page, form, sent):
    """TIFF, too, which this browser cannot show."""
    types = []
    page.on("request", lambda r: types.append(r.headers["content-type"]) if "predict" in r.url else None)
    give(page, "drop", png(sample(6), form), f"image/{form.lower()}")
    shows(page, 6)
    assert types == [sent]


def test_the_bars_say_what_the_service_says(page, url):
    give(page, "drop", png(sample(3)))
    shows(page, 3)
    answer = httpx.post(f"{url}predict", content=png(sample(3)), headers={"Content-Type": "image/png"}).json()
    shown = [float(text.split()[0]) / 100 for text in page.locator("#bars .share").all_text_contents()]
    assert shown == pytest.approx(answer["probabilities"], abs=0.0011)
    model = answer["model"]
    expect(page.locator("#spoken")).to_contain_text(f"{model['name']} version {model['version']}")


def test_one_click_sends_the_right_digit_to_the_database(page, database):
    image = sample(4)
    give(page, "drop", png(image))
    shows(page, 4)
    page.locator("#bars button").nth(9).click()
    expect(page.locator("#feedback")).to_have_text("Thank you. Kept as 9.")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT digit, predicted, pixels FROM corrections ORDER BY id").fetchall()
    connection.close()
    assert rows[-1][:2] == (9, 4)
    assert rows[-1][2] == prepare(Image.open(io.BytesIO(png(image)))).tobytes()


def corrections_in(database):
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT id, digit FROM corrections ORDER BY id").fetchall()
    connection.close()
    return rows


def test_of_two_clicks_the_last_one_counts_and_is_taken_back_when_asked(page, database):
    give(page, "drop", png(sample(1)))
    shows(page, 1)
    before = corrections_in(database)
    undo = page.get_by_role("button", name="Take it back")
    expect(undo).to_be_hidden()
    for digit in (9, 4):
        page.locator("#bars button").nth(digit).click()
    expect(page.locator("#feedback")).to_have_text("Thank you. Kept as 4.")
    assert [digit for _, digit in corrections_in(database)[len(before) :]] == [4]
    undo.click()
    expect(page.locator("#feedback")).to_have_text("Taken back: nothing is kept.")
    expect(undo).to_be_hidden()
    expect(page.locator("#bars .sent")).to_have_count(0)
    assert corrections_in(database) == before


def test_undo_takes_away_the_last_stroke_and_clear_all_of_them(page):
    draw(page, 1)
    shows(page, 1)
    draw(page, 7)
    page.keyboard.press("Control+z")
    shows(page, 1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#sure")).to_have_text("Nothing to read yet")
    expect(page.locator("#hint")).to_be_visible()
    expect(page.get_by_role("button", name="Clear")).to_be_disabled()


def test_a_finger_draws_as_well(chromium, url):
    with opened(chromium, url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        box = page.locator("#drawing").bounding_box()
        session = page.context.new_cdp_session(page)
        points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in STROKES[7][0]]
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
        for point in points[1:]:
            session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        shows(page, 7)
        assert page.evaluate("scrollY") == 0


def test_the_keyboard_alone_will_do(chromium, url):
    with opened(chromium, url) as page:
        reached = []
        for _ in range(3):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert reached == ["API", "file", "model"]  # nothing to undo, to clear or to correct yet
        with page.expect_file_chooser() as chooser:
            page.locator("#file").focus()
            page.keyboard.press("Enter")
        chooser.value.set_files({"name": "2.png", "mimeType": "image/png", "buffer": png(sample(2))})
        shows(page, 2)
        page.locator("#ink").focus()
        for _ in range(4):  # the buttons of 0, 1, 2, 3
            page.keyboard.press("Tab")
        expect(page.locator("#bars button").nth(3)).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#feedback")).to_have_text("Thank you. Kept as 3.")


def test_models_and_versions_can_be_chosen(chromium):
    with (
        served(app_with(FakePredictor("lenet", 2), FakePredictor("lenet", 3), FakePredictor("mlp", 1))) as (host, port),
        opened(chromium, f"http://{host}:{port}/") as page,
    ):
        options = page.locator("#model option")
        expect(options).to_have_text(
            [
                "the default model",
                "lenet, version 2 (previous)",
                "lenet, version 3 (champion, stable)",
                "mlp, version 1 (champion)",
            ]
        )
        draw(page, 1)
        expect(page.locator("#spoken")).to_contain_text("lenet version 3")
        page.locator("#model").select_option("lenet/2")
        expect(page.locator("#spoken")).to_contain_text("lenet version 2")


ANSWER = {
    "digit": 8,
    "confidence": 0.41,
    "probabilities": [0.03, 0.02, 0.05, 0.31, 0.02, 0.1, 0.02, 0.02, 0.41, 0.02],
    "pixels": [0] * 784,
    "model": {"name": "lenet", "version": 3},
}


def answering(verdict):
    """Answers in the service's place."""
    return lambda route: route.fulfill(json=ANSWER | verdict)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ({"accepted": None, "reason": None}, ("8", "Eight, 41.0 % sure", "")),
        ({"accepted": True, "reason": None}, ("8", "Eight, 41.0 % sure", "Accepted")),
        ({"accepted": False, "reason": "uncertain"}, ("8", "Perhaps eight", "Refused: too uncertain")),
        (
            {"accepted": False, "reason": "unclear_picture"},
            ("8", "Perhaps eight", "Refused: unclear picture. Draw it, or choose a clearer one"),
        ),
        (
            {"accepted": False, "reason": "not_a_digit"},
            ("", "Not a digit", "Refused: of all digits it is most like eight"),
        ),
        (
            {"accepted": False, "reason": "several_digits", "digits_seen": 2},
            ("", "Two digits", "Refused: draw one, or choose a photo of one"),
        ),
        (
            {"accepted": False, "reason": "several_digits", "digits_seen": 12},
            ("", "12 digits", "Refused: draw one, or choose a photo of one"),
        ),
    ],
)
def test_accepted_or_refused_is_said_with_the_reason(chromium, files, verdict, words):
    """And no refused answer is called sure."""
    digit, sure, state = words
    with opened(chromium, files) as page:
        page.route("**/predict?*", answering(verdict))
        choose(page)
        expect(page.locator("#sure")).to_have_text(sure)
        expect(page.locator("#digit")).to_have_text(digit)
        expect(page.locator("#state")).to_have_text(state)
        expect(page.locator("#spoken")).to_contain_text(f"{sure}. {state}".strip())


def test_of_two_digits_the_page_says_that_they_are_two(page):
    draw(page, 1, scale=0.6, top=0.2, left=-0.05)
    draw(page, 7, scale=0.6, top=0.2, left=0.4)
    expect(page.locator("#sure")).to_have_text("Two digits")
    expect(page.locator("#state")).to_have_text("Refused: draw one, or choose a photo of one")


def test_without_an_answer_there_is_no_picture_and_no_stop_for_the_tab_key_at_a_bar(chromium, files):
    with opened(chromium, files, quiet=False) as page:
        tabbed = "[...document.querySelectorAll('#bars button')].filter((button) => button.tabIndex >= 0).length"
        seen = page.locator("#seen")
        expect(seen).to_be_hidden()
        assert page.evaluate(tabbed) == 0
        choose(page)
        expect(seen).to_be_visible()
        assert page.evaluate(tabbed) == 10
        give(page, "drop", b"hello", "text/plain")
        expect(page.locator("#problem")).to_be_visible()
        expect(seen).to_be_hidden()
        assert page.evaluate(tabbed) == 0


@pytest.mark.parametrize("size", [(844, 390), (667, 375), (768, 1024), (320, 640)])
def test_no_words_of_the_answer_lie_over_its_picture(chromium, files, size):
    """And a phone on its side shows the whole paper and its buttons."""
    width, height = size
    with opened(chromium, files, viewport={"width": width, "height": height}) as page:
        page.route("**/predict?*", answering({"accepted": False, "reason": "unclear_picture"}))
        choose(page)
        expect(page.locator("#state")).to_be_visible()
        inside = "(words) => words.scrollWidth <= words.clientWidth"
        assert page.locator("#answer .words").evaluate(inside)
        digit, words, seen = (page.locator(f"#answer {of}").bounding_box() for of in (".digit", ".words", "figure"))
        assert digit["x"] + digit["width"] <= words["x"]
        assert words["x"] + words["width"] <= seen["x"]
        assert words["width"] >= 100
        assert page.evaluate("document.documentElement.scrollWidth") == width
        if width > height:
            for button in ("#clear", ".file label"):
                box = page.locator(button).bounding_box()
                assert box["y"] + box["height"] <= height


def touch(session, kind, *points):
    """A touch event; points of fingers that are on the screen after it: x, y and number."""
    fingers = [{"x": x, "y": y, "id": number} for x, y, number in points]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


@pytest.mark.parametrize("name", ["Clear", "Undo"])
def test_a_tap_counts_while_a_finger_draws_and_when_it_slides(chromium, files, name):
    with opened(chromium, files, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        button, empty = page.get_by_role("button", name=name), page.locator("#hint")
        session = page.context.new_cdp_session(page)
        box = page.locator("#drawing").bounding_box()
        x, y = box["x"] + 100, box["y"] + 60
        of = button.bounding_box()
        at_x, at_y = of["x"] + of["width"] / 2, of["y"] + of["height"] / 2
        touch(session, "touchStart", (x, y, 0))
        touch(session, "touchMove", (x, y + 200, 0))
        expect(button).to_be_enabled()
        touch(session, "touchStart", (x, y + 200, 0), (at_x, at_y, 1))
        touch(session, "touchEnd")
        expect(empty).to_be_visible()
        touch(session, "touchStart", (x, y, 0))
        touch(session, "touchMove", (x, y + 200, 0))
        touch(session, "touchEnd")
        touch(session, "touchStart", (at_x, at_y - 14, 0))
        touch(session, "touchMove", (at_x, at_y + 14, 0))
        touch(session, "touchEnd")
        expect(empty).to_be_visible()


def test_a_stroke_that_is_cleared_while_it_is_drawn_ends(page):
    box = page.locator("#drawing").bounding_box()
    for key in ("Escape", "Control+z"):
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 100, box["y"] + 300, steps=4)
        page.keyboard.press(key)
        page.mouse.move(box["x"] + 200, box["y"] + 300, steps=4)
        page.mouse.up()
        expect(page.locator("#hint")).to_be_visible()


def test_a_busy_service_is_asked_again_when_it_says(chromium, url):
    def busy(route):
        problem = {"code": "queue_full", "message": "512 pictures are waiting, and the limit is 512; try again later"}
        route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": problem})

    with opened(chromium, url, quiet=False) as page:
        page.route("**/predict?*", busy, times=1)
        page.locator("#file").set_input_files({"name": "1.png", "mimeType": "image/png", "buffer": png(sample(1))})
        expect(page.locator("#problem")).to_have_text(
            "512 pictures are waiting, and the limit is 512; try again later. Trying again in 1 s."
        )
        shows(page, 1)


def test_no_service_and_wrong_pictures_are_told_in_words(chromium, url):
    with opened(chromium, url, quiet=False) as page:
        page.route("**/predict?*", lambda route: route.abort())
        draw(page, 1)
        problem = page.locator("#problem")
        expect(problem).to_have_text("The service cannot be reached. Trying again in 3 s.")
        page.unroute("**/predict?*")
        shows(page, 1)
        give(page, "drop", png(np.full((28, 28), 90, np.uint8)))
        expect(problem).to_have_text(
            "The picture has no black strokes that could be a digit, want connected lines on plain paper."
        )
        give(page, "drop", b"hello", "text/plain")
        expect(problem).to_have_text("This file is no picture that can be read here: want PNG or JPEG.")


def test_a_browser_that_is_never_idle_asks_all_the_same(page):
    page.evaluate("HTMLCanvasElement.prototype.toBlob = () => {}")  # it waits until the browser is
    draw(page, 1)
    shows(page, 1)


def test_where_no_corrections_are_taken_the_page_says_so(chromium):
    with (
        served(app_with(FakePredictor())) as (host, port),
        opened(chromium, f"http://{host}:{port}/", quiet=False) as page,
    ):
        draw(page, 1)
        expect(page.locator("#spoken")).to_contain_text("Accepted")  # the last stroke's answer stands
        page.locator("#bars button").nth(1).click()
        expect(page.locator("#feedback")).to_have_text("This service takes no corrections.")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out_and_nothing_scrolls_sideways(chromium, url, scheme, width):
    options = {"viewport": {"width": width, "height": 860}, "color_scheme": scheme, "reduced_motion": "reduce"}
    with opened(chromium, url, **options) as page:
        verdict = {"accepted": True, "reason": None} if width == 1280 else {"accepted": False, "reason": "uncertain"}
        for state in (None, verdict):
            if state:
                page.route("**/predict?*", answering(state))
                draw(page, 4)
                expect(page.locator("#state")).to_be_visible()
            violations = Axe().run(page).response["violations"]
            assert [(found["id"], [node["html"] for node in found["nodes"]]) for found in violations] == []
            assert page.evaluate("document.documentElement.scrollWidth") == width


# Files


def test_the_files_come_with_a_strict_policy_and_are_not_sent_twice(files):
    for path in ("", "page/page.js", "page/page.css", "page/icon.svg", "favicon.ico"):
        first = httpx.get(files + path)
        assert first.status_code == 200, path
        assert first.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src")
        assert "unsafe" not in first.headers["Content-Security-Policy"]
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        again = httpx.get(files + path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert httpx.head(files + path).headers["ETag"] == first.headers["ETag"]


def test_the_page_names_no_other_machine(files):
    for path in ["", *(f"page/{file.name}" for file in FOLDER.iterdir())]:
        text = httpx.get(files + path).raise_for_status().text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("//\n", ""), path
