"""Debian's Chromium, a page opened in it, and what a person does there: draws a digit and reads the answer."""

import io
from contextlib import contextmanager

from PIL import Image
from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 30_000
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
STROKES = {
    0: [
        [
            (0.5, 0.2),
            (0.36, 0.28),
            (0.3, 0.5),
            (0.36, 0.72),
            (0.5, 0.8),
            (0.64, 0.72),
            (0.7, 0.5),
            (0.64, 0.28),
            (0.5, 0.2),
        ]
    ],
    1: [[(0.52, 0.2), (0.48, 0.8)]],
    2: [[(0.33, 0.32), (0.42, 0.22), (0.58, 0.22), (0.66, 0.34), (0.58, 0.5), (0.32, 0.78), (0.7, 0.78)]],
    3: [
        [(0.34, 0.26), (0.5, 0.2), (0.64, 0.3), (0.6, 0.42), (0.46, 0.48)],
        [(0.46, 0.48), (0.64, 0.56), (0.66, 0.7), (0.52, 0.8), (0.34, 0.74)],
    ],
    4: [[(0.36, 0.18), (0.28, 0.52), (0.7, 0.52)], [(0.62, 0.2), (0.6, 0.84)]],
    7: [[(0.3, 0.24), (0.7, 0.24), (0.44, 0.82)]],
    9: [[(0.64, 0.3), (0.5, 0.2), (0.36, 0.3), (0.38, 0.44), (0.52, 0.5), (0.64, 0.3), (0.62, 0.56), (0.54, 0.82)]],
}
"""Points in 0…1 of the paper's side."""


@contextmanager
def launched():
    """The browser, for as long as the block lasts."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(chromium, url, *, quiet=True, **options):
    """The page; in the end nothing may have been complained of, unless it need not be quiet."""
    context = chromium.new_context(**({"viewport": {"width": 1280, "height": 860}} | options))
    context.set_default_timeout(PATIENCE_MS)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "info" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    try:
        yield page
        if quiet:
            assert complaints == []
    finally:
        context.close()


def draw(page, digit, *, scale=1.0, left=0.0, top=0.0):
    """Strokes by mouse; a scale below 1 and shares of the paper's side draw a smaller digit elsewhere."""
    box = page.locator("#drawing").bounding_box()

    def move(x, y, **steps):
        page.mouse.move(
            box["x"] + (left + scale * x) * box["width"], box["y"] + (top + scale * y) * box["height"], **steps
        )

    for first, *others in STROKES[digit]:
        move(*first)
        page.mouse.down()
        for point in others:
            move(*point, steps=6)
        page.mouse.up()


def choose(page):
    """Chooses a photo of a one: a single request, while a drawing is asked about again and again."""
    file = io.BytesIO()
    paper = Image.new("L", (100, 100), 255)
    paper.paste(0, (45, 20, 55, 80))
    paper.save(file, "PNG")
    page.locator("#file").set_input_files({"name": "1.png", "mimeType": "image/png", "buffer": file.getvalue()})


def shows(page, digit):
    """Waits until the digit is the most probable one, in an answer that may be refused."""
    expect(page.locator("#bars button.best .name")).to_have_text(str(digit))
