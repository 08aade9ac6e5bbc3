"""`python -m tests.support.screenshots URL`: pictures of the page of a running service, as the README shows them."""

import sys

from playwright.sync_api import expect, sync_playwright

from tests.support.browser import ARGUMENTS, CHROMIUM, draw, shows
from tests.support.project import ROOT

FOLDER = ROOT / "tests" / "screenshots"
SHOTS = {"desktop": ("light", 7, 1120, 770), "phone": ("dark", 4, 390, 844)}
"""By the name of the file: colour scheme, digit, width and height in pixels."""


def main(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, (scheme, digit, width, height) in SHOTS.items():
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            page.goto(url)
            draw(page, digit)
            shows(page, digit)
            page.mouse.move(0, 0)
            page.wait_for_timeout(1500)  # the answer is that to the last stroke
            expect(page.locator("#spoken")).not_to_be_empty()
            page.screenshot(path=FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
