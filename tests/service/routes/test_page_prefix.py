"""The page and the documentation in a real browser, behind proxies that show the service under a path prefix."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.application import app_with, served
from tests.support.browser import choose, opened
from tests.support.fake_predictor import FakePredictor

PREFIX = "/tools/digits"


class Stripping:
    """A proxy, as an ASGI application: takes the prefix off, and has nothing beside it."""

    def __init__(self, app):
        self.app, self.service = app, app.service

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{PREFIX}/"), scope["path"]
            scope = {**scope, "path": scope["path"].removeprefix(PREFIX)}
        await self.app(scope, receive, send)


@pytest.fixture(params=["strips, unknown", "strips, known", "does not strip"], scope="module")
def url(request, tmp_path_factory):
    """The URL of the page behind a proxy; the service may be told its prefix."""
    database = tmp_path_factory.mktemp("prefix") / "feedback.sqlite3"
    known = {} if request.param == "strips, unknown" else {"root_path": PREFIX}
    app = app_with(FakePredictor(), feedback_url=f"sqlite:///{database}", **known)
    with served(app if request.param == "does not strip" else Stripping(app)) as (host, port):
        yield f"http://{host}:{port}{PREFIX}/"


def test_the_page_reads_a_digit_and_sends_a_correction(chromium, url):
    with opened(chromium, url) as page:
        choose(page)
        expect(page.locator("#state")).to_have_text("Accepted")
        expect(page.locator("#model option")).to_have_count(2)
        page.locator("#bars button").nth(7).click()
        expect(page.locator("#feedback")).to_have_text("Thank you. Kept as 7.")


def test_the_documentation_is_shown_and_tries_requests(chromium, url):
    with opened(chromium, url) as page:
        page.get_by_role("link", name="API").click()
        page.wait_for_url(f"{url}docs")
        page.locator("#operations-models-list_models").get_by_role("button").first.click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/models") as answer:
            page.get_by_role("button", name="Execute").click()
        assert (answer.value.url, answer.value.status) == (f"{url}models", 200)
