"""`/docs` in a browser: short examples, dark where the system is, and requests that can be tried."""

import pytest
from playwright.sync_api import expect

from tests.support.application import app_with, served
from tests.support.browser import opened
from tests.support.fake_predictor import FakePredictor

PREDICT = "#operations-predict-predict"


@pytest.fixture(scope="module")
def url():
    with served(app_with(FakePredictor())) as (host, port):
        yield f"http://{host}:{port}/docs"


def test_an_example_is_short_and_is_sent_as_it_is(chromium, url):
    with opened(chromium, url) as page:
        expect(page.locator(".info")).to_contain_text("Quick start.")
        page.locator(f"{PREDICT} .opblock-summary").click()
        expect(page.locator(f"{PREDICT} .responses-table")).to_be_visible()
        assert page.locator(PREDICT).bounding_box()["height"] < 4000
        page.locator(f"{PREDICT} .try-out__btn").click()
        sent = page.locator(f"{PREDICT} textarea").first.input_value()
        assert 28 < len(sent.splitlines()) < 40
        page.locator(f"{PREDICT} .execute").click()
        expect(page.locator(f"{PREDICT} .live-responses-table .response .response-col_status")).to_contain_text("200")


def test_every_example_fits_its_frame(chromium, url):
    with opened(chromium, url) as page:
        page.locator("#operations-feedback-list_corrections .opblock-summary").click()
        example = page.locator("#operations-feedback-list_corrections .responses-table pre").first
        expect(example).to_contain_text('"corrections"')
        assert example.bounding_box()["height"] <= 330


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_dark_where_the_system_is(chromium, url, scheme):
    with opened(chromium, url, color_scheme=scheme) as page:
        expect(page.locator(".opblock").first).to_be_visible()
        shades = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        dark = max(shades[:3]) < 60 and len(shades) == 3
        assert dark is (scheme == "dark")
        assert page.evaluate("document.documentElement.classList.contains('dark-mode')") is (scheme == "dark")
