"""Held-out surfaces and lights: kraft paper, napkins, receipts, blinds and more, made by functions of their own.

No choice is made on pictures with them: they show how well choices made on the other families carry over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from training.photos.canvas import (
    between,
    centred,
    channels,
    covered,
    happens,
    lit,
    pick,
    size_of,
    tinted,
    to_field,
    to_image,
    to_scene,
)

if TYPE_CHECKING:
    from training.photos.canvas import Field, Random, Scene, Size


def kraft(size: Size, random: Random) -> Scene:
    """Brown paper of an envelope: fibres, and the seams of its flap."""
    height, width = size
    page = Image.new("L", (width, height), 128)
    draw = ImageDraw.Draw(page)
    for _ in range(900):
        x, y, angle, length = (float(number) for number in random.random(4) * (width, height, np.pi, 26))
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        draw.line([(x, y), end], fill=int(random.integers(80, 176)), width=1)
    fibres = to_field(page.filter(ImageFilter.GaussianBlur(0.7))) - np.float32(0.5)
    brown = pick(random, ((0.74, 0.58, 0.41), (0.66, 0.5, 0.35), (0.8, 0.67, 0.5)))
    paper = tinted(1 + np.float32(between(random, (0.25, 0.6))) * fibres, brown)
    if happens(random, 0.6):
        seam = Image.new("L", (width, height))
        tip = (width * between(random, (0.3, 0.7)), height * between(random, (0.1, 0.35)))
        ImageDraw.Draw(seam).polygon([(-9, -9), (width + 9, -9), tip], fill=255)
        over, under = (to_field(seam.filter(ImageFilter.GaussianBlur(radius))) for radius in (0.8, 7))
        paper = lit(paper, 1 - np.float32(0.4) * np.maximum(under - over, 0))
    return paper


def napkin(size: Size, random: Random) -> Scene:
    """A paper napkin: embossed dots in a lattice, lit from one side."""
    rows, columns = centred(size)
    pitch, angle = between(random, (13, 30)), between(random, (0.2, 1.3))
    wave = np.float32(2 * np.pi / pitch)
    down = wave * (rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle)))
    across = wave * (columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle)))
    relief = np.cos(down) * np.cos(across)
    relief = np.clip(2 * relief, 0, 1)
    slope = np.roll(relief, 2, axis=0) - np.roll(relief, -2, axis=1)
    fibres = random.standard_normal(size, np.float32) * np.float32(0.012)
    tone = pick(random, ((0.95, 0.94, 0.92), (0.93, 0.88, 0.8), (0.88, 0.9, 0.94)))
    return tinted(1 + np.float32(between(random, (0.06, 0.16))) * slope + ndimage.uniform_filter(fibres, 2), tone)


def receipt(size: Size, random: Random) -> Scene:
    """A strip of thermal paper on a table, with printed lines above and below an empty place."""
    height, width = size
    margin = between(random, (0.03, 0.12)) * width
    strip = Image.new("L", (width, height))
    lean = between(random, (-0.02, 0.02)) * width
    ImageDraw.Draw(strip).polygon(
        [(margin + lean, -1), (width - margin + lean, -1), (width - margin - lean, height), (margin - lean, height)],
        fill=255,
    )
    print_px = between(random, (0.026, 0.04)) * min(size)
    text = Image.new("L", (width, height))
    draw, font = ImageDraw.Draw(text), ImageFont.load_default(size=print_px)
    goods = ("COFFEE", "TEA", "BREAD", "MILK", "APPLES", "TOTAL", "CASH", "CHANGE", "THANK YOU", "VAT", "CARD")
    for top in np.arange(0.02 * height, 0.98 * height, 1.5 * print_px):
        if 0.2 * height < top + print_px and top < 0.8 * height:
            continue
        draw.text((margin + 0.05 * width, top), pick(random, goods), fill=255, font=font)
        price = f"{random.integers(0, 30)}.{random.integers(0, 100):02}"
        draw.text((width - margin - 0.2 * width, top), price, fill=255, font=font)
    table = tinted(np.full(size, between(random, (0.15, 0.5)), np.float32), (1.0, 0.95, 0.9))
    tone = between(random, (0.84, 0.95))
    print_ink = to_field(text) * np.float32(between(random, (0.45, 0.75)))
    paper = tinted(np.full(size, tone, np.float32), (1.0, 1.0, 0.99)) * (1 - print_ink)
    return covered(table, to_field(strip.filter(ImageFilter.GaussianBlur(1))), paper)


def graph(size: Size, random: Random) -> Scene:
    """Graph paper: strong coloured lines at every fifth of fine ones."""
    height, width = size
    unit = between(random, (0.035, 0.075)) * min(size)
    ink = pick(random, ((235, 130, 70), (90, 170, 120), (80, 140, 215), (220, 110, 120)))
    page = Image.new("RGB", (width, height), pick(random, ((250, 248, 240), (244, 248, 244), (250, 250, 250))))
    draw = ImageDraw.Draw(page, "RGBA")
    start = random.integers(0, 5, 2)
    for axis, end in ((0, width), (1, height)):
        for index, place in enumerate(np.arange(between(random, (-unit, 0)), end + unit, unit)):
            strong = (index + start[axis]) % 5 == 0
            corners = [(place, -9), (place, height + 9)] if axis == 0 else [(-9, place), (width + 9, place)]
            draw.line(corners, fill=(*ink, 235 if strong else 120), width=int(random.integers(4, 7)) if strong else 2)
    angle = between(random, (-5, 5))
    grown = page.resize((round(1.2 * width), round(1.2 * height)), Image.Resampling.BILINEAR).rotate(
        angle, Image.Resampling.BICUBIC
    )
    left, top = (grown.width - width) // 2, (grown.height - height) // 2
    return to_scene(grown.crop((left, top, left + width, top + height)))


def grey(size: Size, random: Random) -> Scene:
    """Recycled paper: grey, with dark and light flecks."""
    flecks = random.standard_normal((size[0] // 2 + 1, size[1] // 2 + 1), np.float32)
    flecks = np.sign(flecks) * np.maximum(np.abs(flecks) - 2.3, 0)
    large = np.repeat(np.repeat(flecks, 2, axis=0), 2, axis=1)[: size[0], : size[1]]
    tone = between(random, (0.6, 0.78))
    return tinted(tone * (1 + 0.12 * ndimage.gaussian_filter(large, 0.8)), (1.0, 0.99, 0.96))


def note(size: Size, random: Random) -> Scene:
    """A sticky note."""
    colour = pick(
        random, ((0.98, 0.92, 0.45), (0.98, 0.62, 0.7), (0.62, 0.88, 0.6), (0.55, 0.8, 0.95), (0.99, 0.72, 0.35))
    )
    rows, _ = centred(size)
    glue = 1 - np.float32(0.12) * (rows / size[0] + np.float32(0.5)) ** 2
    return tinted(np.broadcast_to(glue, size), colour)


def glossy(size: Size, random: Random) -> Scene:
    """Coated paper of a magazine: perfectly even."""
    tone = between(random, (0.82, 0.95))
    return tinted(np.full(size, tone, np.float32), (1.0, 1.0, between(random, (0.95, 1.0))))


def monitor(size: Size, random: Random) -> Scene:
    """A white page on a screen, with a bar of buttons at the top."""
    height, width = size
    page = Image.new("RGB", (width, height), (232, 238, 246))
    draw = ImageDraw.Draw(page)
    if happens(random, 0.6):
        bar = round(0.07 * height)
        draw.rectangle((0, 0, width, bar), fill=(196, 204, 216))
        for index in range(int(random.integers(2, 6))):
            left = width * (0.03 + 0.1 * index)
            draw.rounded_rectangle((left, 0.25 * bar, left + 0.07 * width, 0.75 * bar), 4, fill=(120, 136, 160))
    return to_scene(page)


def blinds(scene: Scene, random: Random) -> Scene:
    """Dim yellow light that falls through the slats of a blind."""
    rows, columns = centred(size_of(scene))
    angle, pitch = between(random, (-0.6, 0.6)), between(random, (0.09, 0.2)) * min(size_of(scene))
    place = rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle))
    stripes = np.clip(np.float32(1.6) * np.cos(place * np.float32(2 * np.pi / pitch)) + np.float32(0.5), 0, 1)
    shade = between(random, (0.35, 0.62))
    level = between(random, (0.5, 0.8))
    colour = level, 0.87 * level, 0.6 * level
    return lit(scene, np.float32(shade) + np.float32(1 - shade) * stripes) * channels(colour)


def lamps(scene: Scene, random: Random) -> Scene:
    """The reflections of two tubes in something glossy, side by side."""
    rows, columns = centred(size_of(scene))
    side, angle = min(size_of(scene)), between(random, (0, np.pi))
    along = rows * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))
    across = columns * np.float32(np.sin(angle)) - rows * np.float32(np.cos(angle))
    first, apart = between(random, (-0.45, 0.1)) * side, between(random, (0.18, 0.4)) * side
    light = np.zeros(size_of(scene), np.float32)
    for place in (first, first + apart):
        edge = np.maximum(
            np.abs(across - np.float32(place)) - np.float32(0.028 * side),
            np.abs(along - np.float32(0.1 * side)) - np.float32(0.42 * side),
        )
        light += 1 / (1 + np.exp(np.clip(edge / np.float32(0.012 * side), -30, 30)))
    return scene * np.float32(between(random, (0.6, 0.85))) + np.float32(between(random, (0.25, 0.6))) * light


def stuck(scene: Scene, random: Random) -> Scene:
    """The note on the edge of a monitor or on a shelf: smaller, turned a little, over blurred things."""
    height, width = size_of(scene)
    back = Image.new("RGB", (width, height), tuple(int(level) for level in random.integers(20, 200, 3)))
    draw = ImageDraw.Draw(back)
    for _ in range(int(random.integers(4, 10))):
        left, top = random.uniform(-0.2, 1, 2) * (width, height)
        wide, tall = random.uniform(0.1, 0.7, 2) * (width, height)
        draw.rectangle(
            (left, top, left + wide, top + tall), fill=tuple(int(level) for level in random.integers(10, 230, 3))
        )
    back = back.filter(ImageFilter.GaussianBlur(between(random, (3, 9))))
    share = between(random, (0.66, 0.86))
    small = to_image(scene).resize((round(width * share), round(height * share)), Image.Resampling.LANCZOS)
    sheet = Image.new("RGBA", small.size, (0, 0, 0, 255))
    sheet.paste(small)
    sheet = sheet.rotate(between(random, (-12, 12)), Image.Resampling.BICUBIC, expand=True)
    spare = (width - sheet.width, height - sheet.height)
    place = (round(spare[0] * between(random, (0.35, 0.65))), round(spare[1] * between(random, (0.35, 0.65))))
    fallen = Image.new("L", (width, height))
    fallen.paste(sheet.getchannel("A"), (place[0] + 4, place[1] + round(between(random, (5, 16)))))
    back.paste((0, 0, 0), mask=fallen.filter(ImageFilter.GaussianBlur(9)).point(lambda level: level * 0.5))
    back.paste(sheet, place, sheet)
    return to_scene(back)


def moire(scene: Scene, random: Random) -> Scene:
    """Bands of colours, where the pixels of a screen and those of the camera nearly coincide."""
    rows, columns = centred(size_of(scene))
    angle, pitch = between(random, (0, np.pi)), between(random, (9, 34))
    bent = np.float32(between(random, (-0.0006, 0.0006)))
    place = rows * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))
    place = place + bent * (rows**2 + columns**2)
    strength, wave = np.float32(between(random, (0.03, 0.09))), np.float32(2 * np.pi / pitch)
    bands = [1 + strength * np.cos(place * wave + np.float32(2.1 * channel)) for channel in range(3)]
    pixels = 1 - np.float32(0.05) * (np.cos(rows * np.float32(2.6)) + np.cos(columns * np.float32(2.6)))
    return (scene + np.float32(0.02)) * np.stack(bands) * pixels


def bleeding(coverage: Field, random: Random) -> Field:
    """Ink that ran into soft paper: wider, with uneven edges."""
    reach = between(random, (2.0, 5.0))
    wide = ndimage.gaussian_filter(coverage, reach)
    ragged = random.standard_normal((coverage.shape[0] // 4 + 1, coverage.shape[1] // 4 + 1), np.float32)
    ragged = ndimage.zoom(ragged, 4, order=1)[: coverage.shape[0], : coverage.shape[1]]
    return np.clip((wide - 0.25 + 0.07 * ragged) / 0.35, 0, 1).astype(np.float32)


def smudged(coverage: Field, random: Random) -> Field:
    """Wet ink that a hand wiped to one side, and drops of water on it."""
    angle, reach = between(random, (-0.7, 0.7)), between(random, (18, 60))
    trail = np.zeros_like(coverage)
    for part in np.linspace(0.1, 1, 10):
        down, across = round(reach * part * np.sin(angle)), round(reach * part * np.cos(angle))
        moved = np.roll(coverage, (down, across), axis=(0, 1))
        np.maximum(trail, moved * np.float32(1 - part), out=trail)
    trail = ndimage.uniform_filter(trail, 7)
    wiped = coverage * np.float32(between(random, (0.75, 1.0)))
    return np.maximum(wiped, trail * np.float32(between(random, (0.2, 0.5)))).astype(np.float32)
