"""The page and the documentation in a real browser where predictions want a key: they ask for the key and send it."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from service.auth.keys import digest_of
from tests.support.application import app_with, served
from tests.support.browser import choose, opened
from tests.support.fake_predictor import FakePredictor

KEPT = "sessionStorage.getItem('digits-key')"


def guarded(keys_file, **settings):
    return app_with(FakePredictor(), keys_file=keys_file, require_key="predict", **settings)


def entered(page, key):
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def test_the_page_asks_for_the_key_keeps_it_for_the_tab_and_forgets_it(chromium, keys_file, tmp_path):
    app = guarded(keys_file, feedback_url=f"sqlite:///{tmp_path}/feedback.sqlite3")
    with served(app) as (host, port), opened(chromium, f"http://{host}:{port}/", quiet=False) as page:
        field, note = page.get_by_label("Key", exact=True), page.locator("#key-note")
        expect(note).to_have_text("A predict key is missing.")  # the list of models was refused
        expect(field).to_be_focused()
        assert Axe().run(page).response["violations"] == []
        choose(page)
        expect(page.locator("#problem")).to_have_text("A predict key is missing.")
        entered(page, "two words")
        expect(note).to_have_text("A key has letters, digits and signs, and no spaces.")
        entered(page, "wrong")
        expect(note).to_have_text("The predict key is not known.")
        expect(field).to_be_visible()
        assert page.evaluate(KEPT) is None
        entered(page, " secret ")
        expect(page.locator("#state")).to_have_text("Accepted")  # the photo was sent again
        expect(field).to_be_hidden()
        expect(page.locator("#model option")).to_have_count(2)
        page.locator("#bars button").nth(7).click()
        expect(page.locator("#feedback")).to_have_text("Thank you. Kept as 7.")

        page.reload()
        choose(page)
        expect(page.locator("#state")).to_have_text("Accepted")
        expect(field).to_be_hidden()

        page.get_by_role("button", name="Forget the key").click()
        expect(note).to_have_text("A predict key is missing.")
        expect(page.get_by_role("button", name="Forget the key")).to_be_hidden()
        assert page.evaluate(KEPT) is None


def test_a_key_for_something_else_is_told_and_another_one_can_be_entered(chromium, tmp_path):
    (tmp_path / "keys").write_text(f"prom metrics {digest_of('scrape')}\nshop predict {digest_of('sell')}\n")
    with (
        served(guarded(tmp_path / "keys")) as (host, port),
        opened(chromium, f"http://{host}:{port}/", quiet=False) as page,
    ):
        entered(page, "scrape")
        expect(page.locator("#key-note")).to_have_text("The key of prom is for metrics, want a key for predict.")
        entered(page, "sell")
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#model option")).to_have_count(2)


def test_where_no_key_is_wanted_the_page_asks_for_none(chromium):
    with served(app_with(FakePredictor())) as (host, port), opened(chromium, f"http://{host}:{port}/") as page:
        expect(page.locator("#model option")).to_have_count(2)
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#forget-key")).to_be_hidden()


def test_the_documentation_sends_the_key_of_its_authorize_button(chromium, keys_file):
    with (
        served(guarded(keys_file)) as (host, port),
        opened(chromium, f"http://{host}:{port}/docs", quiet=False) as page,
    ):
        page.get_by_role("button", name="Authorize").first.click()
        page.locator(".auth-container input").fill("secret")
        page.locator(".auth-container button.authorize").click()
        page.locator(".auth-container button.btn-done").click()
        page.locator("#operations-models-list_models").get_by_role("button").first.click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/models") as answer:
            page.get_by_role("button", name="Execute").click()
        assert answer.value.status == 200
