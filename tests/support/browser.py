"""Debian's Chromium, and what a person does on the page: draws a digit and reads the answer."""

from playwright.sync_api import expect

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
}
"""Points in 0…1 of the paper's side."""


def draw(page, digit):
    """Strokes by mouse."""
    box = page.locator("#drawing").bounding_box()
    for (x, y), *others in STROKES[digit]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.down()
        for x, y in others:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
        page.mouse.up()


def shows(page, digit):
    """Waits until the digit is the answer."""
    expect(page.locator("#digit")).to_have_text(str(digit))
    best = page.locator("#bars button.best")
    expect(best.locator(".name")).to_have_text(str(digit))
